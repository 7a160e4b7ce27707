"""The environment of `extrawest-ocpi`: its pins contradict ours."""

import subprocess
import sys
from pathlib import Path

HOME = Path(__file__).parent.parent / ".venv-rival"
PACKAGES = ("extrawest-ocpi==2025.7.16", "uvicorn==0.54.0", "h11==0.14.0", "starlette==0.27.0")


def install() -> None:
    """Create the environment, once."""
    marker, requirements = HOME / "requirements.txt", "\n".join(PACKAGES)
    if marker.exists() and marker.read_text() == requirements:
        return
    print("setting up .venv-rival (once)", file=sys.stderr, flush=True)
    subprocess.run([sys.executable, "-m", "venv", "--clear", str(HOME)], check=True, timeout=120)
    pip = [str(HOME / "bin" / "python"), "-m", "pip", "install", "-qq"]
    subprocess.run([*pip, "--disable-pip-version-check", *PACKAGES], check=True, timeout=300)
    marker.write_text(requirements)
