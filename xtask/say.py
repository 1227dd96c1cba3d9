"""What a script of checks says of each: one line, `ok NAME: figures` or `failed NAME: reason`. Comes before the script."""

import sys


def say(title, check, *arguments):
    try:
        print(f"ok {title}: {check(*arguments)}")
    except Exception as error:  # Whatever it is, it is this check's failure.
        print(f"failed {title}: {' '.join(str(error).split()) or repr(error)}")
    sys.stdout.flush()


