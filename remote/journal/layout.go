package journal

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"iter"
	"os"
	"path/filepath"

	"golang.org/x/mod/sumdb/tlog"

	"cipherdeck/crypto/id"
	own "cipherdeck/crypto/tlog"
)

// width is how many hashes or leaves a full tile holds.
const width = 256

// files yields every file of a tree over leaves, by its path and content, as
// C2SP tlog-tiles lays them out: entry bundles and tiles of hashes, the last of
// each row partial.
func files(leaves [][]byte) iter.Seq2[string, []byte] {
	return func(yield func(string, []byte) bool) {
		row := make([]id.ID, len(leaves))
		for i, leaf := range leaves {
			row[i] = own.LeafHash(leaf)
		}
		for n := 0; n*width < len(leaves); n++ {
			part := leaves[n*width : min(len(leaves), (n+1)*width)]
			if !yield(tilePath("entries", n, len(part)), bundle(part)) {
				return
			}
		}
		for level := 0; len(row) > 0; level++ {
			var above []id.ID
			for n := 0; n*width < len(row); n++ {
				part := row[n*width : min(len(row), (n+1)*width)]
				if !yield(tilePath(fmt.Sprint(level), n, len(part)), joined(part)) {
					return
				}
				if len(part) == width {
					above = append(above, fold(part))
				}
			}
			row = above
		}
	}
}

// tilePath is the path of tile n, which holds some of width.
func tilePath(kind string, n, some int) string {
	name := fmt.Sprintf("%03d", n%1000)
	for n >= 1000 {
		n /= 1000
		name = fmt.Sprintf("x%03d/%s", n%1000, name)
	}
	if some < width {
		name = fmt.Sprintf("%s.p/%d", name, some)
	}
	return filepath.Join("tile", kind, filepath.FromSlash(name))
}

// bundle is leaves, each after its length.
func bundle(leaves [][]byte) (out []byte) {
	for _, leaf := range leaves {
		out = binary.BigEndian.AppendUint16(out, uint16(len(leaf)))
		out = append(out, leaf...)
	}
	return out
}

func joined(row []id.ID) (out []byte) {
	for _, h := range row {
		out = append(out, h[:]...)
	}
	return out
}

// fold is the root of a full tile.
func fold(row []id.ID) id.ID {
	for len(row) > 1 {
		var above []id.ID
		for i := 0; i < len(row); i += 2 {
			above = append(above, id.ID(tlog.NodeHash(tlog.Hash(row[i]), tlog.Hash(row[i+1]))))
		}
		row = above
	}
	return row[0]
}

// bundled reads the leaves of a tree of size from its bundles; one that cannot
// be read is nil.
func bundled(dir string, size uint64) [][]byte {
	out := make([][]byte, size)
	for n := 0; n*width < int(size); n++ {
		some := min(width, int(size)-n*width)
		raw, err := os.ReadFile(filepath.Join(dir, tilePath("entries", n, some)))
		if err != nil && some < width { // a full one may be there already
			raw, err = os.ReadFile(filepath.Join(dir, tilePath("entries", n, width)))
		}
		if err != nil {
			continue
		}
		for i := range some {
			if len(raw) < 2 || len(raw)-2 < int(binary.BigEndian.Uint16(raw)) {
				break
			}
			end := 2 + int(binary.BigEndian.Uint16(raw))
			out[n*width+i] = bytes.Clone(raw[2:end])
			raw = raw[end:]
		}
	}
	return out
}

// hashed reads the leaf hashes of a tree of size from its lowest tiles; one that
// cannot be read is zero.
func hashed(dir string, size uint64) []id.ID {
	out := make([]id.ID, size)
	for n := 0; n*width < int(size); n++ {
		some := min(width, int(size)-n*width)
		raw, err := os.ReadFile(filepath.Join(dir, tilePath("0", n, some)))
		if err != nil && some < width {
			raw, err = os.ReadFile(filepath.Join(dir, tilePath("0", n, width)))
		}
		if err != nil {
			continue
		}
		for i := range min(some, len(raw)/id.Size) {
			copy(out[n*width+i][:], raw[i*id.Size:])
		}
	}
	return out
}
