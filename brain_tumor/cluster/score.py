"""Score an archive with a finished run: paths in, Parquet out, one row per slice, on one machine or a Spark cluster.

python -m brain_tumor.cluster.score run=outputs/NAME input=scans to=scores
python -m brain_tumor.cluster.score run=outputs/NAME input=paths.parquet to=s3://bucket/scores master=spark://host:7077
"""

import json
import shutil
import tempfile
import time
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import hydra
from omegaconf import DictConfig

from brain_tumor.config import cli, typed

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

    from brain_tumor.cluster.scoring import Settings
    from brain_tumor.inference.base import Run
    from brain_tumor.inference.predictor import Predictor

_PER_TASK = 256  # cases, which are scored again if an executor is lost


@hydra.main(config_path=typed.CONF, config_name="score", version_base="1.3")
def main(cfg: DictConfig) -> None:
    """Score the files that are not scored yet; a file that cannot be read gets a row that says why."""
    score(typed.plain(cfg, "score"))


def score(config: dict[str, Any]) -> None:
    """Score an archive in parts; Spark commits each part completely or not at all.

    Raises:
        ValueError: the run, the input or the target cannot be used.
    """
    from brain_tumor.cluster import scoring, session
    from brain_tumor.inference.opening import open_runs
    from brain_tumor.inference.predictor import Predictor
    from brain_tumor.scans import volumes

    volumes.refuse_preset(config["preset"])
    for name in ("batch_mb", "files_per_commit"):
        if config[name] <= 0:
            raise ValueError(f"{name}={config[name]}: must be above 0")
    runs = open_runs(config)
    predictor = Predictor.of(runs, config["threshold"], config["keep_from"])
    predictor.refuse_unnamed()
    target = config["to"] if "://" in config["to"] else str(Path(config["to"]).resolve())
    settings = scoring.Settings(
        config["preset"],
        config["threshold"],
        config["keep_from"],
        int(config["batch_mb"] * 2**20),
        tuple(config["trusted"]),
    )
    spark = session.start("brain_tumor score", config["master"])
    try:
        parts = _plan(spark, predictor, config, target)
        with tempfile.TemporaryDirectory(prefix="brain_tumor-") as home:
            _send(spark, runs, Path(home))
            _score(spark, settings, target, parts)
        _print_counts(spark, target)
    except ValueError:
        raise
    except Exception as error:  # Spark's errors have many lines
        raise ValueError(
            f"to={config['to']}: not complete, the same command goes on ({session.summarize(error)})"
        ) from error
    finally:
        spark.stop()


def _plan(spark: "SparkSession", predictor: "Predictor", config: dict[str, Any], target: str) -> int:
    """Divide the cases into parts, once, since later calls resume with the same parts; return the number of parts.

    Raises:
        ValueError: the target holds scores of another run, input or setting, or rows with other columns.
    """
    from brain_tumor.cluster import scoring

    identity = {
        "schema": scoring.SCHEMA,
        "runs": {
            key: [run.digest(), list(run.temperatures.values()), run.positive] for key, run in predictor.runs.items()
        },
        "threshold": predictor.threshold,
        **({} if predictor.keep_from is None else {"keep_from": predictor.keep_from}),
        **{name: config[name] for name in ("input", "preset", "files_per_commit")},
    }
    if _exists(spark, f"{target}/_plan/_SUCCESS"):
        (row,) = spark.read.json(f"{target}/_plan").collect()
        if json.loads(row.identity) != identity:
            raise ValueError(
                f"to={target}: holds scores of another run, input or preset, or of another version of this program; "
                "choose another folder"
            )
        return int(row.parts)
    parts = _divide(_paths(spark, str(config["input"])), config["files_per_commit"], target)
    plan = spark.createDataFrame([(parts, json.dumps(identity))], "parts int, identity string").coalesce(1)
    plan.write.mode("overwrite").json(f"{target}/_plan")
    return parts


def _divide(paths: "DataFrame", size: int, target: str) -> int:
    """Write which files form a case, and which part it is in, with about `size` files per part; return their number."""
    from pyspark.sql import functions as f

    from brain_tumor.cluster import files

    count: int = paths.count()
    parts = max(1, -(-count // size))
    cases = (
        paths.repartition(max(1, min(count // 1000, 10_000)))
        .mapInArrow(files.belonging, "path string, whole string")
        .groupBy("whole").agg(f.collect_list("path").alias("paths"))
        .select("paths", f.expr(f"pmod(xxhash64(whole), {parts})").alias("part"))
    )  # fmt: skip
    cases.repartition("part").write.mode("overwrite").partitionBy("part").parquet(f"{target}/_cases")
    return parts


def _paths(spark: "SparkSession", text: str) -> "DataFrame":
    """Return a table with the column `path`, each path once.

    Raises:
        ValueError: the input is not there, or has no such column.
    """
    import pyarrow
    from pyspark.errors import AnalysisException

    from brain_tumor.cluster import files

    try:
        if text.endswith(".parquet"):
            return spark.read.parquet(_absolute(text)).select("path").where("path is not null").distinct()
        if text.endswith(".txt"):
            return spark.read.text(_absolute(text)).selectExpr("trim(value) as path").where("path != ''").distinct()
    except AnalysisException as error:
        raise ValueError(f"input={text}: not there, or without a column `path`") from error
    return spark.createDataFrame(pyarrow.table({"path": files.find(text)}))


def _absolute(text: str) -> str:
    return text if "://" in text else str(Path(text).resolve())


def _send(spark: "SparkSession", runs: "Mapping[str, Run]", home: Path) -> None:
    """Send the runs' files to the executors, each of which fetches them from `home` and unpacks them once."""
    from brain_tumor.cluster import scoring

    scoring.pack(runs, home / "runs")
    packed = shutil.make_archive(str(home / scoring.RUNS), "zip", home / "runs")
    spark.sparkContext.addArchive(f"{packed}#{scoring.RUNS}")


def _score(spark: "SparkSession", settings: "Settings", target: str, parts: int) -> None:
    """Score the parts that are not committed yet."""
    from brain_tumor.cluster import scoring

    for part in range(parts):
        place = f"{target}/part={part}"
        if _exists(spark, f"{place}/_SUCCESS") or not _exists(spark, f"{target}/_cases/part={part}"):
            continue
        started = time.perf_counter()
        cases = spark.read.schema("paths array<string>").parquet(f"{target}/_cases/part={part}")
        count = cases.count()
        tasks = max(1, min(count, spark.sparkContext.defaultParallelism), count // _PER_TASK)
        scored = cases.repartition(tasks).mapInArrow(partial(scoring.score, settings), scoring.SCHEMA)
        # With version 1, a part becomes visible when all of it is written.
        scored.write.mode("overwrite").option("mapreduce.fileoutputcommitter.algorithm.version", "1").parquet(place)
        seconds = time.perf_counter() - started
        print(f"part {part + 1} of {parts}: {count} cases, {count / seconds:.1f} a second", flush=True)


def _print_counts(spark: "SparkSession", target: str) -> None:
    """Print how many rows there are, by status."""
    counts = spark.read.parquet(f"{target}/part=*").groupBy("status").count().collect()
    for row in sorted(counts):
        print(f"{row['status']}: {row['count']} rows")
    print("Research software, not a medical device: nothing here may guide the care of a person.")
    print(f"scores: {target}")


def _exists(spark: "SparkSession", place: str) -> bool:
    path = spark._jvm.org.apache.hadoop.fs.Path(place)
    return bool(path.getFileSystem(spark._jsc.hadoopConfiguration()).exists(path))


if __name__ == "__main__":
    cli.enter(main)
