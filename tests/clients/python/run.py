"""Runs the tests of one module and prints a line of JSON for each, for the Go test that
counts them. What else is printed goes to standard error."""

import json
import sys
import unittest


class Lines(unittest.TestResult):
    """Prints a line when a test is over, with all that went wrong in it and its parts."""

    def __init__(self, out):
        super().__init__()
        self.out = out

    def startTest(self, test):
        super().startTest(test)
        self.outcome, self.details = "pass", []

    def stopTest(self, test):
        super().stopTest(test)
        name = type(test).__name__ + "." + test._testMethodName
        line = {"name": name, "outcome": self.outcome, "detail": "\n".join(self.details)}
        print(json.dumps(line), file=self.out, flush=True)

    def addError(self, test, err):
        self.outcome = "fail"
        self.details.append(self._exc_info_to_string(err, test))

    addFailure = addError

    def addSubTest(self, test, subtest, err):
        if err is not None:
            self.details.append(str(subtest))
            self.addError(test, err)

    def addSkip(self, test, reason):
        self.outcome = "skip"
        self.details.append(reason)


def main():
    out, sys.stdout = sys.stdout, sys.stderr
    unittest.defaultTestLoader.loadTestsFromName(sys.argv[1]).run(Lines(out))


if __name__ == "__main__":
    main()
