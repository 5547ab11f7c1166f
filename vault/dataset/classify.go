package dataset

import (
	"math"
	"strconv"
	"strings"
)

// Type is what all cells of a column are that are not null.
type Type string

// The types. A column of integers and numbers is one of numbers; any other
// mixture is text.
const (
	Empty   Type = "empty"
	Integer Type = "integer"
	Number  Type = "number"
	Boolean Type = "boolean"
	Date    Type = "date"
	Text    Type = "text"
	Nested  Type = "nested" // Parquet: a list or map, which is no column of a flat table
	Unread  Type = "unread" // Parquet: its cells were not read; the note says why
)

// class is what one cell looks like.
type class uint8

const (
	isInteger class = iota
	isNumber
	isBoolean
	isDate
	isText
	classes
)

// Null reports whether a cell stands for a missing value: nothing, NA, N/A,
// NULL, None or NaN, in the spellings of R, pandas and SQL.
func Null(b []byte) bool {
	switch string(b) {
	case "", "NA", "N/A", "NULL", "Null", "null", "None", "NaN", "nan", "NAN":
		return true
	}
	return false
}

// classify says what a cell looks like; v is its value if it is a number, and
// as in dated if it is a date.
// Spaces around it do not count.
func classify(b []byte) (c class, v float64) {
	if len(b) > 0 && (b[0] == ' ' || b[len(b)-1] == ' ') {
		b = trim(b)
	}
	if len(b) == 0 {
		return isText, 0
	}
	switch d := b[0]; {
	case d >= '0' && d <= '9':
		if v, ok := dated(b); ok {
			return isDate, v
		}
		return number(b)
	case d == '-' || d == '+' || d == '.':
		return number(b)
	case len(b) <= 5 && boolean(b):
		return isBoolean, 0
	}
	return isText, 0
}

func trim(b []byte) []byte {
	for len(b) > 0 && b[0] == ' ' {
		b = b[1:]
	}
	for len(b) > 0 && b[len(b)-1] == ' ' {
		b = b[:len(b)-1]
	}
	return b
}

func boolean(b []byte) bool {
	switch string(b) {
	case "true", "false", "True", "False", "TRUE", "FALSE", "yes", "no", "Yes", "No", "YES", "NO", "t", "f", "T", "F", "y", "n", "Y", "N":
		return true
	}
	return false
}

// tens are the powers of ten that float64 holds exactly.
var tens = [...]float64{1, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22}

// number reads a decimal. An integer of up to 15 digits over an exact power of
// ten is one correctly rounded division (Clinger 1990); all else goes to
// strconv. A code with leading zeros, such as 00123, is text: as a number it
// would lose them.
func number(b []byte) (class, float64) {
	i := 0
	if b[0] == '-' || b[0] == '+' {
		i = 1
	}
	if len(b) > i+1 && b[i] == '0' && b[i+1] >= '0' && b[i+1] <= '9' {
		return isText, 0
	}
	var m uint64
	digits, point := 0, -1
	for ; i < len(b); i++ {
		d := b[i] - '0'
		switch {
		case d <= 9:
			m = m*10 + uint64(d)
			digits++
		case b[i] == '.' && point < 0:
			point = digits
		default:
			return slowNumber(b)
		}
	}
	if digits == 0 || digits > 15 {
		return slowNumber(b)
	}
	v, c := float64(m), isInteger
	if point >= 0 {
		v, c = v/tens[digits-point], isNumber
	}
	if b[0] == '-' {
		v = -v
	}
	return c, v
}

func slowNumber(b []byte) (class, float64) {
	if len(b) > 64 {
		return isText, 0
	}
	s := string(b)
	if strings.ContainsAny(s, "_xXpPiI") {
		return isText, 0
	}
	v, err := strconv.ParseFloat(s, 64)
	if err != nil || math.IsInf(v, 0) || math.IsNaN(v) {
		return isText, 0
	}
	if !strings.ContainsAny(s, ".eE") {
		return isInteger, v
	}
	return isNumber, v
}

// dated reports whether b begins with a day, alone or before a time of day; v
// is 20240531 for 2024-05-31. The forms are those of ParseDay.
func dated(b []byte) (v float64, ok bool) {
	if len(b) < 8 || !daySign(b[4]) && !daySign(b[1]) && !daySign(b[2]) {
		return 0, false
	}
	d, ok := ParseDay(string(b[:min(len(b), 32)]), "")
	return float64(d.Year*10000 + d.Month*100 + d.Day), ok
}

func daySign(c byte) bool { return c == '-' || c == '/' || c == '.' }
