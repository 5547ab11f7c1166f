package score

import (
	"errors"
	"math"
	"testing"
)

func TestAUC(t *testing.T) {
	for _, c := range []struct {
		name   string
		scores []float64
		labels []bool
		want   float64
	}{
		{"perfect", []float64{1, 2, 3, 4}, []bool{false, false, true, true}, 1},
		{"reversed", []float64{4, 3, 2, 1}, []bool{false, false, true, true}, 0},
		{"all tied", []float64{7, 7, 7, 7}, []bool{true, false, true, false}, 0.5},
		{"one tie", []float64{0.1, 0.4, 0.4, 0.8}, []bool{false, false, true, true}, 0.875},
		{"textbook", []float64{0.1, 0.4, 0.35, 0.8}, []bool{false, false, true, true}, 0.75},
	} {
		if got, err := AUC(c.scores, c.labels); err != nil || got != c.want {
			t.Errorf("%s: %v %v, want %v", c.name, got, err, c.want)
		}
	}
}

func TestAUCRefuses(t *testing.T) {
	for _, c := range []struct {
		scores []float64
		labels []bool
	}{{nil, nil}, {[]float64{1}, []bool{true}}, {[]float64{1, 2}, []bool{true}}, {[]float64{1, math.NaN()}, []bool{true, false}}} {
		if _, err := AUC(c.scores, c.labels); !errors.Is(err, ErrLabels) {
			t.Errorf("%v: %v", c.scores, err)
		}
	}
}

func TestBaseRate(t *testing.T) {
	if BaseRate([]bool{true, false, false, false}) != 0.25 || BaseRate(nil) != 0 {
		t.Error("wrong base rate")
	}
}
