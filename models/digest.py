#!/usr/bin/env python3
"""Digests of model versions, and the files that carry answers and digests.

The standard library is enough to run this file; the export scripts import it, so that every
version is digested by the same code:

    python models/digest.py models/image-classification/1    # prints the files and the digest
    python models/digest.py --check models/*/*/              # compares them with model.yaml

The digest is SHA-256 over the sorted lines "<sha256>  <path>\\n" of a version's files, which is
`sha256sum`'s own format, so a shell can compute it too:

    cd models/image-classification/1
    find . -type f ! -name model.yaml -printf '%P\\n' | xargs sha256sum | LC_ALL=C sort | sha256sum
"""

import argparse
import hashlib
import json
import pathlib
import re
import sys

MANIFEST = "model.yaml"


def sha256(path):
    """Returns the SHA-256 of one file, in hex."""
    return hashlib.sha256(pathlib.Path(path).read_bytes()).hexdigest()


def files(version_dir):
    """Returns {path: sha256} of every file of a version but its manifest, sorted by path.

    Paths are relative to the version folder, with forward slashes. Hidden files are refused
    rather than skipped: what is in the folder is what is shipped.
    """
    root = pathlib.Path(version_dir)
    table = {}
    for path in sorted(p for p in root.rglob("*") if p.is_file()):
        name = path.relative_to(root).as_posix()
        if any(part.startswith(".") for part in path.relative_to(root).parts):
            raise ValueError(f"{path}: hidden files do not belong in a model version")
        if name != MANIFEST:
            table[name] = sha256(path)
    return table


def digest(table):
    """Returns "sha256:<hex>" over the sorted lines of a {path: sha256} table."""
    lines = sorted(f"{checksum}  {path}\n" for path, checksum in table.items())
    return "sha256:" + hashlib.sha256("".join(lines).encode()).hexdigest()


def write_manifest(version_dir, manifest):
    """Fills in `files` and `digest` and writes model.yaml.

    manifest is a dict in the order in which it is to be read; its keys `files` and `digest` hold
    the places. Needs PyYAML, which only the export scripts have to install.
    """
    import yaml

    class Dumper(yaml.SafeDumper):
        """Writes maps as blocks and lists of scalars on one line."""

    Dumper.add_representer(
        list, lambda d, v: d.represent_sequence("tag:yaml.org,2002:seq", v, flow_style=True)
    )
    table = files(version_dir)
    manifest = {**manifest, "files": table, "digest": digest(table)}
    text = yaml.dump(
        manifest, Dumper=Dumper, sort_keys=False, width=96, allow_unicode=True,
        default_flow_style=False,
    )
    (pathlib.Path(version_dir) / MANIFEST).write_text(text, encoding="utf-8")
    return manifest


def write_json(path, value):
    """Writes JSON for people to read and compare: indented, innermost maps on one line."""
    text = json.dumps(value, indent=1, ensure_ascii=False)
    text = re.sub(r"\{\s+([^{}\[\]]*?)\s+\}", lambda m: "{" + re.sub(r"\n\s*", " ", m[1]) + "}", text)
    if json.loads(text) != value:  # a brace inside a string would break the shortening
        text = json.dumps(value, indent=1, ensure_ascii=False)
    pathlib.Path(path).write_text(text + "\n", encoding="utf-8")


def check(version_dir):
    """Returns what is wrong between a version's files and its manifest: a list of sentences.

    The manifest is searched as text, because the standard library reads no YAML.
    """
    manifest = pathlib.Path(version_dir, MANIFEST)
    if not manifest.is_file():
        return [f"{manifest}: missing"]
    lines = {line.strip() for line in manifest.read_text(encoding="utf-8").splitlines()}
    table = files(version_dir)
    wanted = [f"{path}: {checksum}" for path, checksum in table.items()]
    wanted.append(f"digest: {digest(table)}")
    return [f"{manifest}: lacks the line '{line}'" for line in wanted if line not in lines]


def main():
    """Prints or checks the digests of the versions named on the command line."""
    parser = argparse.ArgumentParser(description="digests of model versions")
    parser.add_argument("--check", action="store_true", help="compare with model.yaml")
    parser.add_argument("versions", nargs="+", help="version folders, such as models/faq-matching/1")
    arguments = parser.parse_args()
    faults = []
    for version in arguments.versions:
        if arguments.check:
            faults += check(version)
            continue
        table = files(version)
        for path, checksum in table.items():
            print(f"{checksum}  {path}")
        print(digest(table), version)
    for fault in faults:
        print(fault, file=sys.stderr)
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
