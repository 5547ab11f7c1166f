// Package score measures a classifier against known labels.
package score

import (
	"errors"
	"fmt"
	"math"
	"sort"
)

// ErrLabels is wrapped when a measure is not defined for the labels given.
var ErrLabels = errors.New("labels do not allow this measure")

// AUC is the area under the ROC curve: the chance that a random positive
// scores above a random negative, ties counting half (the Mann-Whitney
// statistic). Errors wrap ErrLabels: different lengths, a score that is not a
// number, or labels that are all alike.
func AUC(scores []float64, labels []bool) (float64, error) {
	if len(scores) != len(labels) {
		return 0, fmt.Errorf("%w: %d scores, %d labels", ErrLabels, len(scores), len(labels))
	}
	order := make([]int, len(scores))
	for i, s := range scores {
		if math.IsNaN(s) {
			return 0, fmt.Errorf("%w: score %d is not a number", ErrLabels, i+1)
		}
		order[i] = i
	}
	sort.Slice(order, func(a, b int) bool { return scores[order[a]] < scores[order[b]] })
	positives, rankSum := 0.0, 0.0
	for i := 0; i < len(order); {
		end, tied := i, 0.0
		for ; end < len(order) && scores[order[end]] == scores[order[i]]; end++ {
			if labels[order[end]] {
				tied++
			}
		}
		positives += tied
		rankSum += tied * float64(i+1+end) / 2 // mean of ranks i+1 … end
		i = end
	}
	negatives := float64(len(labels)) - positives
	if positives == 0 || negatives == 0 {
		return 0, fmt.Errorf("%w: %.0f positive, %.0f negative", ErrLabels, positives, negatives)
	}
	return (rankSum - positives*(positives+1)/2) / (positives * negatives), nil
}

// BaseRate is the share of positive labels, 0 when there are none at all.
func BaseRate(labels []bool) float64 {
	n := 0
	for _, l := range labels {
		if l {
			n++
		}
	}
	if len(labels) == 0 {
		return 0
	}
	return float64(n) / float64(len(labels))
}
