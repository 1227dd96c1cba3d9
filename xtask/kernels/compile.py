"""CUDA C++ to PTX by NVRTC: reads a job as JSON on stdin, writes the answers as JSON on stdout.

The job: {"library": path, "options": [..], "headers": {name: text}, "modules": {name: text}}.
The answer: {"ptx": {name: text}}, or {"error": what the compiler says}.
"""

import ctypes
import json
import sys


def compile_module(nvrtc, name, source, headers, options):
    program = ctypes.c_void_p()
    names = list(headers)
    texts = (ctypes.c_char_p * len(names))(*[headers[n].encode() for n in names])
    paths = (ctypes.c_char_p * len(names))(*[n.encode() for n in names])
    created = nvrtc.nvrtcCreateProgram(
        ctypes.byref(program), source.encode(), (name + ".cu").encode(), len(names), texts, paths
    )
    if created != 0:
        raise RuntimeError(f"NVRTC makes no program of `{name}` (error {created})")
    arguments = (ctypes.c_char_p * len(options))(*[o.encode() for o in options])
    compiled = nvrtc.nvrtcCompileProgram(program, len(options), arguments)
    if compiled != 0:
        raise RuntimeError(f"`{name}.cu` does not compile:\n" + text_of(nvrtc, program, "ProgramLog"))
    return text_of(nvrtc, program, "PTX")


def text_of(nvrtc, program, what):
    n_bytes = ctypes.c_size_t()
    getattr(nvrtc, f"nvrtcGet{what}Size")(program, ctypes.byref(n_bytes))
    buffer = ctypes.create_string_buffer(n_bytes.value)
    getattr(nvrtc, f"nvrtcGet{what}")(program, buffer)
    return buffer.value.decode()


def main():
    job = json.load(sys.stdin)
    try:
        nvrtc = ctypes.CDLL(job["library"])
        ptx = {
            name: compile_module(nvrtc, name, source, job["headers"], job["options"])
            for name, source in job["modules"].items()
        }
        answer = {"ptx": ptx}
    except (OSError, RuntimeError) as error:
        answer = {"error": str(error)}
    json.dump(answer, sys.stdout)


main()
