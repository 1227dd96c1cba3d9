"""Checks ONNX files: `ok PATH` or `failed PATH: reason`, one line each."""

import sys

import onnx

for path in sys.argv[1:]:
    try:
        onnx.checker.check_model(path, full_check=True)
        print(f"ok {path}")
    except Exception as error:  # Whatever it is, it is this file's failure.
        print(f"failed {path}: {' '.join(str(error).split())}")
