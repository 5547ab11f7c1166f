// Package assets carries the demonstration inside the program: a public data
// set, a model trained on part of it, and what that model must answer.
//
// The data is the Wisconsin Diagnostic Breast Cancer set (569 samples, 30
// features; UCI Machine Learning Repository, doi:10.24432/C5DW2B, CC BY 4.0).
// The model is a logistic regression for P(malignant). Its AUC may only be
// quoted on the rows of HeldOut, which the training never saw, and beside the
// base rate. wdbc/README.md names source, licence and changes; wdbc/train.py
// writes every file again, byte for byte.
//
// The word list is not here: package crypto/words owns it.
package assets

import (
	_ "embed"
	"encoding/json"
	"fmt"
)

//go:embed wdbc/wdbc.csv
var wdbcCSV string

//go:embed wdbc/logreg.onnx
var logregONNX string

//go:embed wdbc/heldout.json
var heldoutJSON string

//go:embed wdbc/expected.json
var expectedJSON string

// WDBC is the data set as CSV: a header of 30 feature names and "malignant",
// then 569 rows of 30 decimal numbers, as published, and a label (1 malignant,
// 0 benign). Each call returns a copy.
func WDBC() []byte { return []byte(wdbcCSV) }

// Model is the logistic regression as ONNX, opset 13, float32:
// x [N,30] → Sub → Div → Gemm → Sigmoid → p [N,1], p = P(malignant). The
// standardisation is part of the model: x holds raw features in the order of
// the CSV. Each call returns a copy.
func Model() []byte { return []byte(logregONNX) }

// HeldOut lists the 171 rows of WDBC that were not trained on: ascending,
// counted from 0 at the first row after the header.
func HeldOut() ([]int, error) {
	var rows []int
	if err := json.Unmarshal([]byte(heldoutJSON), &rows); err != nil {
		return nil, fmt.Errorf("embedded wdbc/heldout.json: %w", err)
	}
	return rows, nil
}

// Expectation is what the embedded model answers in the clear, in double
// precision on its float32 parameters. Scores are over the held-out rows.
type Expectation struct {
	TrainRows        int     `json:"train_rows"`
	HeldOutRows      int     `json:"heldout_rows"`
	HeldOutMalignant int     `json:"heldout_malignant"`
	BaseRate         float64 `json:"base_rate"` // share of malignant held-out rows
	AUC              float64 `json:"auc"`       // area under the ROC curve, 9 decimals
	Accuracy         float64 `json:"accuracy"`  // at p > 0.5
	HeldOutLogitMin  float64 `json:"heldout_logit_min"`
	HeldOutLogitMax  float64 `json:"heldout_logit_max"`
	LogitMin         float64 `json:"logit_min"` // over all 569 rows
	LogitMax         float64 `json:"logit_max"`
}

// Expected reads the expectation that was written with the model.
func Expected() (Expectation, error) {
	var e Expectation
	if err := json.Unmarshal([]byte(expectedJSON), &e); err != nil {
		return e, fmt.Errorf("embedded wdbc/expected.json: %w", err)
	}
	return e, nil
}
