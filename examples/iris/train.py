"""Train the model of one version from the iris flowers that ship with scikit-learn.

v1 sees the sepals only, every later version all four measurements; both predict equally fast.
What is broken about v3, v4 and v5 is in their servers (runtime.py), not in their model.
"""

# mypy: disable-error-code="import-not-found"
# (scikit-learn is installed in the image, not where the types are checked.)

import sys
from pathlib import Path

import joblib
from sklearn.compose import make_column_transformer
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import cross_val_score
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

SEPALS = (0, 1)
ALL = (0, 1, 2, 3)
COLUMNS = {"v1": SEPALS, "v2": ALL, "v3": ALL, "v4": ALL, "v5": ALL}


def make_classifier(columns: tuple[int, ...]) -> Pipeline:
    """Return a classifier of (n, 4) measurements in cm that looks at these columns only."""
    seen = make_column_transformer((StandardScaler(), list(columns)))
    return make_pipeline(seen, LogisticRegression(max_iter=1000))


def train(version: str, target: Path) -> float:
    """Write the version's model to the target and return its accuracy (0 to 1) on unseen flowers.

    The accuracy is the mean of a stratified five-fold cross-validation; the model that is
    written has seen all 150 flowers. Nothing in it is random.
    """
    flowers, species = load_iris(return_X_y=True)
    classifier = make_classifier(COLUMNS[version])
    accuracy = float(cross_val_score(classifier, flowers, species, cv=5).mean())
    joblib.dump(classifier.fit(flowers, species), target)
    return accuracy


def main() -> None:
    if len(sys.argv) != 3 or sys.argv[1] not in COLUMNS:
        sys.exit(f"usage: train.py {{{','.join(COLUMNS)}}} MODEL.joblib")
    version, target = sys.argv[1], Path(sys.argv[2])
    print(f"{target}: iris {version}, accuracy {train(version, target):.3f}")


if __name__ == "__main__":
    main()
