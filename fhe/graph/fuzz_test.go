package graph_test

import (
	"testing"

	"cipherdeck/fhe/graph"
	"cipherdeck/fhe/onnx"
	"cipherdeck/fhe/onnx/onnxtest"
)

// FuzzBuild: a file that is accepted can be folded and run without a panic.
func FuzzBuild(f *testing.F) {
	f.Add(onnxtest.Write(logistic(), true))
	f.Add(onnxtest.Write(everyOp(), false))
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := onnx.Read(b)
		if err != nil {
			return
		}
		g, err := graph.Build(m)
		if err != nil || g.Features > 1<<12 {
			return
		}
		if _, err := g.Eval([][]float64{make([]float64, g.Features)}); err != nil {
			t.Fatal(err)
		}
		if aff, _, err := g.Affine(); err == nil && len(aff.Weights) != g.Features {
			t.Fatalf("%d weights for %d features", len(aff.Weights), g.Features)
		}
	})
}
