#!/usr/bin/env python3
"""Trains the FAQ matcher and exports it to ONNX, and proves it right.

    pip install -r models/faq-matching/training/requirements.txt
    python models/faq-matching/training/train.py

Reads faq/*.yaml (entries: id, question, answer, wordings) and held_out.yaml (wordings that never
enter training), writes the files of models/faq-matching/1, and prints the accuracies as a table.
It fails where scikit-learn and ONNX Runtime differ by 1e-4 or more in any score.

The model is a scikit-learn pipeline: TF-IDF over words and pairs of words, and over runs of 2 to 5
characters, then a multinomial logistic regression with one class for each entry. Every text about
an entry trains it: its question, its wordings, its answer. The characters forgive typing errors
and see operators such as === and ?. ; the answers know words that no wording has. Compared with
the classifier over question pairs of earlier work (a row for each pair of a question and an
entry) it needs one row for each text, trains in seconds and ranks better.
"""

import argparse
import pathlib
import sys
import time
import unicodedata

import numpy as np
import onnxruntime
import skl2onnx
import sklearn
import yaml
from skl2onnx.common.data_types import StringTensorType
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.feature_selection import SelectKBest
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold
from sklearn.pipeline import FeatureUnion, Pipeline

HERE = pathlib.Path(__file__).resolve().parent
VERSION = HERE.parent / "1"
sys.path.insert(0, str(HERE.parent.parent))
import digest  # noqa: E402  (models/digest.py, shared by the models' scripts)

CREATED = "2026-11-23"
# Words, and runs of anything that is neither a word nor white space: operators are words here.
TOKEN = r"[a-z0-9_$]+|[^\sa-z0-9_$]+"
PARITY = 1e-4
TOP_K = 3
# Texts that no one would ask, but that must not differ between Python and the server.
ODD = ["?", "=== vs ==", "a?.b ?? c", "'", '"', "\\", "\u65e5\u672c\u8a9e", "\U0001f600 emoji", "x" * 10_000, "c++", "a\tb"]


def normalise(text):
    """Returns text as the server's pipeline makes it: NFKC, lower case, single spaces."""
    return " ".join(unicodedata.normalize("NFKC", text).lower().split())


def load():
    """Returns (entries, held_out): the entries in the order of the files, and {id: [wording]}."""
    entries = [e for path in sorted((HERE / "faq").glob("*.yaml")) for e in yaml.safe_load(path.read_text("utf-8"))]
    held_out = yaml.safe_load((HERE / "held_out.yaml").read_text("utf-8"))
    check(entries, held_out)
    return entries, held_out


def check(entries, held_out):
    """Fails where an entry is not what it must be, or a held-out wording is in training."""
    ids = [e["id"] for e in entries]
    assert len(set(ids)) == len(ids) >= 150, "ids must be unique, and at least 150"
    assert set(held_out) == set(ids), "held_out.yaml must have each entry"
    seen = set()
    for e in entries:
        assert len(e["wordings"]) >= 8, f"{e['id']}: fewer than 8 wordings"
        seen |= {normalise(t) for t in [e["question"], *e["wordings"]]}
    for entry, wordings in held_out.items():
        for w in wordings:
            assert normalise(w) not in seen, f"{entry}: held-out wording is in training: {w}"


def training_texts(entries):
    """Returns (texts, labels): what trains each entry, and its index. Questions count twice."""
    texts, labels = [], []
    for i, e in enumerate(entries):
        for t in [e["question"], e["question"], *e["wordings"], e["answer"], e["question"] + " " + e["answer"]]:
            texts.append(normalise(t))
            labels.append(i)
    return texts, np.array(labels)


def weight(features, labels):
    """Scores features for SelectKBest: the largest share of an entry's weight on any feature.

    The logistic regression's own coefficients say which features decide; their largest absolute
    value over the entries keeps the model small without a loss that can be measured.
    """
    model = LogisticRegression(C=10, max_iter=200).fit(features, labels)
    return np.abs(model.coef_).max(axis=0), np.zeros(features.shape[1])


def classifier(keep=10_000):
    """Returns the untrained pipeline; keep is the number of features that stay."""
    return Pipeline([
        ("features", FeatureUnion([
            ("words", TfidfVectorizer(token_pattern=TOKEN, ngram_range=(1, 2), lowercase=False)),
            ("characters", TfidfVectorizer(analyzer="char", ngram_range=(2, 5), min_df=2, lowercase=False)),
        ])),
        ("select", SelectKBest(weight, k=keep)),
        ("match", LogisticRegression(C=10, max_iter=300)),
    ])


class Baseline:
    """Plain TF-IDF: an entry's score is the largest cosine of the asked text and one of its texts."""

    def fit(self, texts, labels):
        self.vectorizer = TfidfVectorizer()
        self.rows = self.vectorizer.fit_transform(texts)
        self.labels = labels
        return self

    def predict_proba(self, texts):
        cosines = (self.vectorizer.transform(texts) @ self.rows.T).toarray()
        return np.stack([cosines[:, self.labels == i].max(axis=1) for i in range(self.labels.max() + 1)], axis=1)


def measure(scores, labels):
    """Returns (accuracy at 1, accuracy at 3, mean reciprocal rank); ties count against the model."""
    right = scores[np.arange(len(labels)), labels][:, None]
    ranks = (scores >= right).sum(axis=1)
    return float((ranks <= 1).mean()), float((ranks <= 3).mean()), float((1 / ranks).mean())


def cross_validate(entries, folds=5):
    """Returns measure() over wordings that each fold leaves out of training."""
    pairs = [(normalise(w), i) for i, e in enumerate(entries) for w in e["wordings"]]
    texts, labels = np.array([p[0] for p in pairs], dtype=object), np.array([p[1] for p in pairs])
    scores = np.zeros((len(texts), len(entries)))
    for train, test in StratifiedKFold(folds, shuffle=True, random_state=0).split(texts, labels):
        left_out = set(texts[test])
        known, known_labels = training_texts(entries)
        stay = [k for k, t in enumerate(known) if t not in left_out]
        model = classifier().fit([known[k] for k in stay], known_labels[stay])
        scores[test] = model.predict_proba(list(texts[test]))
    return measure(scores, labels)


def export(model):
    """Returns the ONNX bytes: question string [N,1] in, scores float32 [N,entries] out."""
    proto = skl2onnx.to_onnx(
        model, initial_types=[("question", StringTensorType([None, 1]))], target_opset=17,
        options={id(model): {"zipmap": False, "output_class_labels": False}}, name="faq-matching",
    )
    keep_scores(proto.graph)
    pad_apart(proto.graph)
    proto.doc_string, proto.producer_version = "", skl2onnx.__version__
    assert not any(n.op_type == "StringNormalizer" for n in proto.graph.node), "it needs a locale that containers lack"
    return proto.SerializeToString(deterministic=True)


def pad_apart(graph):
    """Makes the tokenizers pad with a character that no text has.

    They fill the rows of a batch up with "#", which the n-grams would take for a character of the
    text: a question would then get other scores in the company of longer ones.
    """
    for node in graph.node:
        for attribute in node.attribute:
            if node.op_type == "Tokenizer" and attribute.name == "pad_value":
                attribute.s = "\uffff".encode()


def keep_scores(graph):
    """Drops the label output, renames the other to scores, and lets its rows vary."""
    labels, probabilities = graph.output
    for node in graph.node:
        for k, name in enumerate(node.output):
            if name == probabilities.name:
                node.output[k] = "scores"
        for k, name in enumerate(node.input):
            if name == probabilities.name:
                node.input[k] = "scores"
    graph.output.remove(labels)
    graph.output[0].name = "scores"
    needed, kept = {"scores"}, []
    for node in reversed(graph.node):
        if needed & set(node.output):
            needed |= set(node.input)
            kept.append(node)
    del graph.node[:]
    graph.node.extend(reversed(kept))
    stay = [t for t in graph.initializer if t.name in needed]
    del graph.initializer[:]
    graph.initializer.extend(stay)


def run(session, texts):
    """Returns the scores [N, entries] of ONNX Runtime."""
    return session.run(["scores"], {"question": np.array(texts, dtype=object).reshape(-1, 1)})[0]


def golden(entries, held_out, session):
    """Returns golden.json: one held-out wording of every eighth entry, with its three best."""
    cases = []
    for e in entries[::8]:
        text = held_out[e["id"]][0]
        scores = run(session, [normalise(text)])[0]
        best = np.argsort(-scores, kind="stable")[:TOP_K]
        cases.append({"instance": {"text": text}, "matches": [
            {"id": entries[i]["id"], "score": round(float(scores[i]), 6)} for i in best]})
    return {"tolerance": 1e-3, "cases": cases}


def table(rows):
    """Returns a Markdown table of {name: measure()}."""
    lines = ["| | accuracy at 1 | accuracy at 3 | mean reciprocal rank |", "|---|---|---|---|"]
    return "\n".join(lines + [f"| {n} | {a:.1%} | {b:.1%} | {m:.3f} |" for n, (a, b, m) in rows.items()])


def main():
    """Trains, proves, measures, writes."""
    parser = argparse.ArgumentParser(description="trains the FAQ matcher")
    parser.add_argument("--cross-validate", action="store_true", help="print the cross-validated accuracy too")
    arguments = parser.parse_args()
    entries, held_out = load()
    texts, labels = training_texts(entries)
    model = classifier().fit(texts, labels)
    asked = [normalise(w) for e in entries for w in held_out[e["id"]]]
    right = np.array([i for i, e in enumerate(entries) for _ in held_out[e["id"]]])
    rows = {
        "plain TF-IDF cosine": measure(Baseline().fit(texts, labels).predict_proba(asked), right),
        "faq-matching 1": measure(model.predict_proba(asked), right),
    }
    if arguments.cross_validate:
        rows["faq-matching 1, cross-validated on training wordings"] = cross_validate(entries)
    data = export(model)
    session = onnxruntime.InferenceSession(data, providers=["CPUExecutionProvider"])
    difference = prove(model, session, texts + asked + [normalise(t) for t in ODD])
    write(entries, held_out, session, data, rows, difference)
    print(table(rows))
    print(f"{len(entries)} entries, {len(asked)} held-out wordings, {len(data) / 1e6:.1f} MB, difference {difference:.1e}, {speed(session, asked):.2f} ms a question")


def prove(model, session, texts):
    """Returns the largest difference between scikit-learn and ONNX Runtime; fails at PARITY."""
    want = model.predict_proba(texts)
    together, alone = run(session, texts), np.vstack([run(session, [t]) for t in texts])
    difference = float(max(np.abs(want - together).max(), np.abs(want - alone).max()))
    if not difference < PARITY:
        sys.exit(f"scikit-learn and ONNX Runtime differ by {difference}: want less than {PARITY}")
    return difference


def speed(session, texts):
    """Returns the median time of a question alone, in milliseconds."""
    times = []
    for t in texts:
        start = time.perf_counter()
        run(session, [t])
        times.append(time.perf_counter() - start)
    return float(np.median(times)) * 1e3


def write(entries, held_out, session, data, rows, difference):
    """Writes the version's files."""
    VERSION.mkdir(exist_ok=True)
    (VERSION / "model.onnx").write_bytes(data)
    digest.write_json(VERSION / "faq.json", [{k: e[k] for k in ("id", "question", "answer")} for e in entries])
    digest.write_json(VERSION / "golden.json", golden(entries, held_out, session))
    ours, plain = rows["faq-matching 1"], rows["plain TF-IDF cosine"]
    digest.write_manifest(VERSION, {
        "schema": "onda/v1", "name": "faq-matching", "version": 1,
        "description": f"Matches a question in free text with {len(entries)} frequently asked questions about JavaScript: "
                       "TF-IDF over words and characters, multinomial logistic regression",
        "licence": "Apache-2.0",
        "provenance": {
            "source": "models/faq-matching/training/faq, written for this project",
            "script": "models/faq-matching/training/train.py",
            "framework": f"scikit-learn {sklearn.__version__}, skl2onnx {skl2onnx.__version__}, onnxruntime {onnxruntime.__version__}",
            "created": CREATED,
        },
        "pipeline": {"text": {"input": "question", "output": "scores", "normalise": ["nfkc", "lower", "whitespace"],
                              "table": "faq.json", "top_k": TOP_K}},
        "batching": {"max_rows": 32},
        "warm_up": [1],
        "metrics": {
            "entries": len(entries), "held_out_wordings": sum(map(len, held_out.values())),
            "accuracy_at_1": round(ours[0], 4), "accuracy_at_3": round(ours[1], 4), "mean_reciprocal_rank": round(ours[2], 4),
            "baseline_accuracy_at_1": round(plain[0], 4), "baseline_accuracy_at_3": round(plain[1], 4),
            "baseline_mean_reciprocal_rank": round(plain[2], 4), "parity_max_difference": float(f"{difference:.1e}"),
        },
    })


if __name__ == "__main__":
    main()
