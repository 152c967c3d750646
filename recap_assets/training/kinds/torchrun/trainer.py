"""open_clip's trainer with its arguments from a file: what torchrun starts in each process.

On the command line torchrun would take some of them (`--logs`) for its own.
"""

import json
import sys
from pathlib import Path

from open_clip_train.main import main

if __name__ == "__main__":
    main(json.loads(Path(sys.argv[1]).read_text()))
