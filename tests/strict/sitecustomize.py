"""Python runs this at the start of every process that the tests launch (tests/conftest.py puts it on PYTHONPATH).

pytest turns warnings into errors only in its own process. Here the same holds for command-line runs and the shell
blocks of the documents, but only for warnings about our own code: third parties warn each other all the time.
UserWarning stays a warning: it is how the library speaks to a user on purpose.
"""

import warnings

for _category in (DeprecationWarning, PendingDeprecationWarning, FutureWarning, RuntimeWarning, SyntaxWarning):
    warnings.filterwarnings("error", category=_category, module=r"sensorad(_cli|_datasets)?(\.|$)")
