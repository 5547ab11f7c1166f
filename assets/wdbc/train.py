#!/usr/bin/python3
"""Writes the demo data set and trains the demo model, byte for byte again.

Run with Debian 12's own interpreter, which finds python3-sklearn 1.2.1 and
python3-onnx 1.12:

    /usr/bin/python3 assets/wdbc/train.py

Writes beside itself: wdbc.csv, heldout.json, logreg.onnx, expected.json.
Needs no network: the data comes with python3-sklearn.
"""

import csv
import importlib.resources
import json
import pathlib

import numpy as np
import onnx
import sklearn
from onnx import TensorProto, helper, numpy_helper
from sklearn.datasets import load_breast_cancer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import StandardScaler

HERE = pathlib.Path(__file__).resolve().parent
SKLEARN = "1.2.1"
SEED = 1995  # the year of publication; chosen before any score was seen
HELDOUT = 171  # 30 % of 569, rounded up


def main():
    if sklearn.__version__ != SKLEARN:
        raise SystemExit(f"scikit-learn {sklearn.__version__} found, the files were made with {SKLEARN}")
    names, rows, x, y = load()
    write_csv(names, rows, y)
    train, held = train_test_split(np.arange(len(y)), test_size=HELDOUT, stratify=y, random_state=SEED)
    held = np.sort(held)
    write_json("heldout.json", [int(i) for i in held])
    mean, scale, weight, bias, reference = fit(x[train], y[train])
    write_onnx(mean, scale, weight, bias)

    # What the *exported* model answers: its float32 parameters, in doubles.
    logits = ((x - mean.astype(float)) / scale.astype(float)) @ weight[0].astype(float) + float(bias[0])
    p = 1 / (1 + np.exp(-logits))
    drift = np.abs(p - reference(x)).max()
    if drift > 1e-5:
        raise SystemExit(f"the exported model differs from the trained one by {drift}")
    write_json("expected.json", summary(y, logits, held, len(train)))


def load():
    """The rows as published (text, so no digit is lost), and as numbers."""
    data = load_breast_cancer()
    text = importlib.resources.files("sklearn.datasets.data").joinpath("breast_cancer.csv").read_text()
    rows = [r[:-1] for r in csv.reader(text.splitlines()[1:])]
    if not np.array_equal(np.array(rows, dtype=float), data.data):
        raise SystemExit("the packaged CSV and load_breast_cancer() disagree")
    # scikit-learn says 0 = malignant; a score should rise with the risk.
    y = 1 - data.target
    return [n.replace(" ", "_") for n in data.feature_names], rows, data.data, y


def fit(x, y):
    scaler = StandardScaler().fit(x)
    # Newton to a tight tolerance: the optimum is unique, so its float32
    # rounding hardly depends on the linear algebra library below.
    model = LogisticRegression(solver="newton-cholesky", C=1.0, tol=1e-12, max_iter=1000)
    model.fit(scaler.transform(x), y)
    f32 = [a.astype(np.float32) for a in (scaler.mean_, scaler.scale_, model.coef_, model.intercept_)]
    return *f32, lambda rows: model.predict_proba(scaler.transform(rows))[:, 1]


def write_onnx(mean, scale, weight, bias):
    nodes = [
        helper.make_node("Sub", ["x", "mean"], ["centred"], "centre"),
        helper.make_node("Div", ["centred", "scale"], ["standard"], "standardise"),
        helper.make_node("Gemm", ["standard", "weight", "bias"], ["logit"], "linear", transB=1),
        helper.make_node("Sigmoid", ["logit"], ["p"], "probability"),
    ]
    named = {"mean": mean, "scale": scale, "weight": weight, "bias": bias}
    graph = helper.make_graph(
        nodes,
        "wdbc_logistic_regression",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 30])],
        [helper.make_tensor_value_info("p", TensorProto.FLOAT, ["N", 1])],
        [numpy_helper.from_array(a, n) for n, a in named.items()],
    )
    model = helper.make_model(graph, producer_name="cipherdeck", opset_imports=[helper.make_opsetid("", 13)])
    model.ir_version = 7  # what opset 13 was released with
    model.doc_string = "P(malignant) from 30 WDBC features. A demonstration, not a medical device."
    onnx.checker.check_model(model, full_check=True)
    (HERE / "logreg.onnx").write_bytes(model.SerializeToString(deterministic=True))


def summary(y, logits, held, train_rows):
    yh, zh = y[held], logits[held]
    return {
        "sklearn": SKLEARN,
        "seed": SEED,
        "train_rows": train_rows,
        "heldout_rows": len(held),
        "heldout_malignant": int(yh.sum()),
        "base_rate": round(float(yh.mean()), 9),
        "auc": round(float(roc_auc_score(yh, zh)), 9),
        "accuracy": round(float(((zh > 0) == (yh == 1)).mean()), 9),
        "heldout_logit_min": round(float(zh.min()), 6),
        "heldout_logit_max": round(float(zh.max()), 6),
        "logit_min": round(float(logits.min()), 6),
        "logit_max": round(float(logits.max()), 6),
    }


def write_csv(names, rows, y):
    lines = [",".join([*names, "malignant"])]
    lines += [",".join([*row, str(int(label))]) for row, label in zip(rows, y)]
    (HERE / "wdbc.csv").write_bytes(("\n".join(lines) + "\n").encode())


def write_json(name, value):
    (HERE / name).write_bytes((json.dumps(value, indent=1) + "\n").encode())


if __name__ == "__main__":
    main()
