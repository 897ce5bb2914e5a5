"""Try a run on a scan, in the browser.

python -m brain_tumor.page run=outputs/NAME
python -m brain_tumor.page run=model.onnx port=8600
"""

import json
from pathlib import Path
from typing import Any

import hydra
from omegaconf import DictConfig

from brain_tumor.config import cli, typed


@hydra.main(config_path=typed.CONF, config_name="page", version_base="1.3")
def main(cfg: DictConfig) -> None:
    """Open the runs, so that their errors are printed here, and serve the page."""
    config = typed.plain(cfg, "page")
    try:
        from streamlit.web import cli as streamlit
    except ImportError as error:
        raise ValueError("page: needs streamlit: pip install 'brain-tumor[page]'") from error
    from brain_tumor.page import answers

    for name in ("port", "max_files", "max_megabytes", "max_voxels"):
        if config[name] < 1:
            raise ValueError(f"{name}={config[name]}: must be at least 1")
    answers.open_runs(config)
    print(f"the page: http://127.0.0.1:{config['port']} (Ctrl-C ends it)", flush=True)
    streamlit.main(["run", str(Path(__file__).with_name("app.py")), *_settings(config), "--", json.dumps(config)])


def _settings(config: dict[str, Any]) -> list[str]:
    """Return Streamlit's settings: served to this machine only, no statistics sent, uploads limited."""
    settings = {
        "server.address": "127.0.0.1",
        "server.port": config["port"],
        "server.headless": "true",  # opens no browser, asks for no e-mail address
        "server.enableXsrfProtection": "true",
        "server.enableCORS": "true",
        "server.maxUploadSize": config["max_megabytes"],
        "server.fileWatcherType": "none",
        "server.disconnectedSessionTTL": 10,  # seconds until the uploads of a closed page are deleted
        "browser.gatherUsageStats": "false",
        "client.toolbarMode": "minimal",
        "client.showErrorDetails": "none",
        "client.showErrorLinks": "false",
        "theme.base": "dark",  # as is usual for scans
    }
    # Other names that resolve to this machine are refused.
    hosts = ["--server.allowedHosts=127.0.0.1", "--server.allowedHosts=localhost"]
    return [*(f"--{name}={value}" for name, value in settings.items()), *hosts]


if __name__ == "__main__":
    cli.enter(main)
