"""Start Spark's session, or take the current one, with the settings that sweeps and scoring rely on."""

import logging
import os
import shutil
import sys
import time
import warnings
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

_QUIET = {"spark.ui.showConsoleProgress": "false", "spark.log.level": "ERROR"}
_REGISTERING = 30  # seconds to wait for executors


def start(
    name: str,
    master: str | None = None,
    conf: Mapping[str, Any] | None = None,
    required: Mapping[str, str] | None = None,
) -> "SparkSession":
    """Return Spark's session, on the master of spark-submit if that has started this process.

    Args:
        name: of the application.
        master: used without spark-submit; None for all cores of this machine.
        conf: further settings.
        required: settings that the caller relies on.

    Raises:
        ValueError: PySpark or Java is missing, the cluster does not answer, or there is a session with other settings.
    """
    # PySpark 4.3 warns on import, but rows pass through Arrow here, not through pandas.
    warnings.filterwarnings("ignore", "PySpark does not yet fully support pandas >= 3", FutureWarning)
    try:
        from pyspark.sql import SparkSession
    except ImportError as error:
        raise ValueError("Spark: needs pyspark: pip install 'brain-tumor[spark]'") from error
    if not (shutil.which("java") or os.environ.get("JAVA_HOME")):
        raise ValueError("Spark: needs Java 17 (Debian: apt-get install openjdk-17-jre-headless)")
    logging.getLogger("py4j").setLevel(logging.WARNING)
    settings = {**_QUIET, **(conf or {}), **(required or {})}
    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)  # else an executor runs its `python3`
    builder = SparkSession.builder.appName(name)
    if "PYSPARK_GATEWAY_PORT" not in os.environ:  # spark-submit sets it, and has a master
        builder = builder.master(master or "local[*]")
    try:
        session = builder.config(map={key: _text(value) for key, value in settings.items()}).getOrCreate()
    except Exception as error:  # errors of Py4J and Spark have many lines
        raise ValueError(f"Spark: does not start on {master or 'its master'}: {summarize(error)}") from error
    for key, value in (required or {}).items():
        if (current := session.sparkContext.getConf().get(key, value)) != value:
            raise ValueError(f"{key}={current}: must be {value}; stop this session, or start it with that")
    return session


def _text(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def require_slots(session: "SparkSession", wanted: int) -> None:
    """Refuse to start tasks that must run at once if the cluster has too few slots.

    Args:
        session: the session.
        wanted: number of tasks.

    Raises:
        ValueError: Spark would refuse the tasks, or wait for executors that do not come.
    """
    conf = session.sparkContext.getConf()
    if conf.get("spark.dynamicAllocation.enabled", "false") == "true":
        raise ValueError(
            f"trainer.devices={wanted}: processes that train together need executors that stay; "
            "give spark-submit --conf spark.dynamicAllocation.enabled=false --num-executors N"
        )
    context = session._jsc.sc()
    profile = context.resourceProfileManager().defaultResourceProfile()
    until = time.monotonic() + _REGISTERING
    while (slots := int(context.maxNumConcurrentTasks(profile))) < wanted and time.monotonic() < until:
        time.sleep(0.5)
    if slots < wanted:
        raise ValueError(
            f"trainer.devices={wanted}: this cluster runs {slots} tasks at once; add executors, or lower "
            f"spark.task.cpus={conf.get('spark.task.cpus', '1')}"
        )


def summarize(error: Exception) -> str:
    """Return the most informative line of an error of Spark or Py4J, which has many lines."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    informative = [line for line in lines if "Error:" in line or "Exception:" in line or "ExecutorLost" in line]
    return next(reversed(informative or lines), type(error).__name__)[:400]
