package parquet

import (
	"bytes"
	"encoding/hex"
	"math/big"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	pq "github.com/parquet-go/parquet-go"
	pqformat "github.com/parquet-go/parquet-go/format"
)

// format appends a value as text.
type format func(dst []byte, v pq.Value) []byte

// formatOf chooses by the logical type (parquet-format, LogicalTypes.md), and
// by the physical one where there is none.
func formatOf(t pq.Type) format {
	if l := t.LogicalType(); l != nil {
		switch l := l.Value.(type) {
		case *pqformat.DateType:
			return func(dst []byte, v pq.Value) []byte {
				return time.Unix(int64(v.Int32())*86400, 0).UTC().AppendFormat(dst, time.DateOnly)
			}
		case *pqformat.TimestampType:
			return timestamp(l)
		case *pqformat.DecimalType:
			return decimal(int(l.Scale), t.Kind())
		case *pqformat.IntType:
			if !l.IsSigned {
				return unsigned(t.Kind())
			}
		}
	}
	return physical(t.Kind())
}

func physical(k pq.Kind) format {
	switch k {
	case pq.Boolean:
		return func(dst []byte, v pq.Value) []byte { return strconv.AppendBool(dst, v.Boolean()) }
	case pq.Int32:
		return func(dst []byte, v pq.Value) []byte { return strconv.AppendInt(dst, int64(v.Int32()), 10) }
	case pq.Int64:
		return func(dst []byte, v pq.Value) []byte { return strconv.AppendInt(dst, v.Int64(), 10) }
	case pq.Float:
		return func(dst []byte, v pq.Value) []byte {
			return strconv.AppendFloat(dst, float64(v.Float()), 'g', -1, 32)
		}
	case pq.Double:
		return func(dst []byte, v pq.Value) []byte { return strconv.AppendFloat(dst, v.Double(), 'g', -1, 64) }
	case pq.ByteArray, pq.FixedLenByteArray:
		return func(dst []byte, v pq.Value) []byte { return appendText(dst, v.ByteArray()) }
	}
	return func(dst []byte, v pq.Value) []byte { return append(dst, v.String()...) }
}

// appendText writes bytes that are no text in hex.
func appendText(dst, b []byte) []byte {
	if utf8.Valid(b) && bytes.IndexByte(b, 0) < 0 {
		return append(dst, b...)
	}
	return hex.AppendEncode(dst, b)
}

func unsigned(k pq.Kind) format {
	if k == pq.Int64 {
		return func(dst []byte, v pq.Value) []byte { return strconv.AppendUint(dst, uint64(v.Int64()), 10) }
	}
	return func(dst []byte, v pq.Value) []byte { return strconv.AppendUint(dst, uint64(uint32(v.Int32())), 10) }
}

func timestamp(l *pqformat.TimestampType) format {
	at := time.UnixMilli
	switch l.Unit.Value.(type) {
	case *pqformat.MicroSeconds:
		at = time.UnixMicro
	case *pqformat.NanoSeconds:
		at = func(n int64) time.Time { return time.Unix(0, n) }
	}
	layout := "2006-01-02T15:04:05.999999999"
	if l.IsAdjustedToUTC {
		layout += "Z"
	}
	return func(dst []byte, v pq.Value) []byte { return at(v.Int64()).UTC().AppendFormat(dst, layout) }
}

// decimal is an integer with a point scale digits from its end; bytes are
// big-endian two's complement.
func decimal(scale int, k pq.Kind) format {
	return func(dst []byte, v pq.Value) []byte {
		n := new(big.Int)
		switch k {
		case pq.Int32:
			n.SetInt64(int64(v.Int32()))
		case pq.Int64:
			n.SetInt64(v.Int64())
		default:
			b := v.ByteArray()
			if n.SetBytes(b); len(b) > 0 && b[0]&0x80 != 0 {
				n.Sub(n, new(big.Int).Lsh(big.NewInt(1), uint(8*len(b))))
			}
		}
		return append(dst, pointed(n, scale)...)
	}
}

func pointed(n *big.Int, scale int) string {
	digits, sign := new(big.Int).Abs(n).String(), ""
	if n.Sign() < 0 {
		sign = "-"
	}
	if scale <= 0 || scale > 1000 {
		return sign + digits
	}
	if len(digits) <= scale {
		digits = strings.Repeat("0", scale+1-len(digits)) + digits
	}
	return sign + digits[:len(digits)-scale] + "." + digits[len(digits)-scale:]
}
