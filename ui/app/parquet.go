package app

import (
	"context"
	"io"
	"os"

	"cipherdeck/crypto/seal"
	"cipherdeck/vault/dataset/parquet"
)

// ParquetSpec says how a table becomes a Parquet file, or one a CSV.
type ParquetSpec struct {
	In, Out string
	Encrypt bool     // the footer and all columns; those in Columns under keys of their own
	Columns []string // with keys of their own
	Key     ColumnKey
	Force   bool
}

// WriteParquet writes a table as Parquet, on request with the format's own
// modular encryption.
func (a *App) WriteParquet(ctx context.Context, spec ParquetSpec) error {
	p, err := ProfileFile(ctx, spec.In)
	if err != nil {
		return err
	}
	in, form, err := table(ctx, spec.In)
	if err != nil {
		return err
	}
	defer in.Close()
	o := parquet.WriteOptions{Profile: p}
	if spec.Encrypt {
		if o.Keys, err = a.parquetKeys(ctx, spec); err != nil {
			return err
		}
	}
	return seal.WriteFile(spec.Out, spec.Force, func(w io.Writer) error {
		return parquet.Write(ctx, spec.In, form, in, w, o)
	})
}

// ReadParquet writes a Parquet file as CSV.
func (a *App) ReadParquet(ctx context.Context, spec ParquetSpec) error {
	var keys *parquet.Keys
	if spec.Encrypt {
		var err error
		if keys, err = a.parquetKeys(ctx, spec); err != nil {
			return err
		}
	}
	in, _, err := seal.OpenRegular(spec.In)
	if err != nil {
		return err
	}
	defer in.Close()
	f, err := openParquet(spec.In, in, keys)
	if err != nil {
		return err
	}
	return seal.WriteFile(spec.Out, spec.Force, func(w io.Writer) error { return f.WriteCSV(ctx, w) })
}

func openParquet(path string, in *os.File, keys *parquet.Keys) (*parquet.File, error) {
	st, err := in.Stat()
	if err != nil {
		return nil, err
	}
	return parquet.Open(path, in, st.Size(), keys)
}

func (a *App) parquetKeys(ctx context.Context, spec ParquetSpec) (*parquet.Keys, error) {
	key, err := a.columnKey(ctx, spec.Key)
	if err != nil {
		return nil, err
	}
	defer clear(key[:])
	return parquet.KeysOf(&key, spec.Columns...)
}
