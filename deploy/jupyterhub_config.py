"""A JupyterHub for the course on this machine: `make hub` starts it, `mnist_helpers/classroom/hub.py` prepares it.

Everybody's server runs as the user who started the hub: this is for trying out a hub, and for people who trust each
other. For a class, keep the settings and choose a spawner that keeps people apart (docs/instructor.md names some).
"""

import os
import secrets
import shutil
import sys
from pathlib import Path

c = get_config()  # noqa: F821 - JupyterHub defines it

folder = Path(os.environ["MNIST_HUB"])  # where everything of this hub lies
port = int(os.environ["MNIST_HUB_PORT"])
names = os.environ["MNIST_HUB_USERS"].split()
beside = Path(sys.executable).parent  # where the environment's commands lie
address = f"http://127.0.0.1:{port}"

c.JupyterHub.bind_url = address
c.JupyterHub.hub_port = port + 1
c.JupyterHub.db_url = f"sqlite:///{folder / 'hub.sqlite'}"
c.JupyterHub.cookie_secret_file = str(folder / "cookie-secret")
c.ConfigurableHTTPProxy.api_url = f"http://127.0.0.1:{port + 2}"
c.ConfigurableHTTPProxy.auth_token = secrets.token_hex(32)
c.ConfigurableHTTPProxy.command = [str(folder / "node_modules" / ".bin" / "configurable-http-proxy")]
c.ConfigurableHTTPProxy.pid_file = str(folder / "proxy.pid")

c.JupyterHub.authenticator_class = "shared-password"
c.SharedPasswordAuthenticator.user_password = os.environ["MNIST_HUB_PASSWORD"]
c.Authenticator.allowed_users = set(names)

c.JupyterHub.spawner_class = "simple"
c.SimpleLocalProcessSpawner.home_dir_template = str(folder / "homes" / "{username}")
c.Spawner.cmd = [str(beside / "jupyterhub-singleuser")]
if shutil.which("prlimit"):  # Linux; memory in bytes that each process may take for data
    c.Spawner.cmd = ["prlimit", f"--data={int(os.environ['MNIST_HUB_MEMORY'])}", *c.Spawner.cmd]
# One thread for each kernel: many kernels share the cores (docs/speed.md has what the other way costs).
c.Spawner.environment = {"MNIST_THREADS": "1", "OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "passive"}
# JupyterLab as `make lab` has it: of nbgrader only the button that validates.
c.Spawner.environment["JUPYTER_CONFIG_PATH"] = str(folder / "edition" / "lab")
# A kernel that nobody has used for half an hour ends, and then the server without kernels.
c.Spawner.args = ["--MappingKernelManager.cull_idle_timeout=1800", "--MappingKernelManager.cull_interval=60"]
if os.geteuid() == 0:  # in a container
    c.Spawner.args.append("--allow-root")
c.Spawner.default_url = "/lab"
c.Spawner.start_timeout = c.Spawner.http_timeout = 120

culler = [sys.executable, "-m", "jupyterhub_idle_culler", "--timeout=3600", "--cull-every=300"]
pad = [sys.executable, "-m", "mnist_helpers", "app", "--port", str(port + 3), "--most", "4"]
c.JupyterHub.services = [
    {"name": "idle-culler", "command": culler},
    {
        "name": "digits",  # the pad: without a login of its own
        "url": f"http://127.0.0.1:{port + 3}",
        "command": [*pad, "--origin", address, "--base-url", "/services/digits/"],
        "cwd": str(folder),
    },
]
c.JupyterHub.load_roles = [
    {
        "name": "idle-culler",
        "scopes": ["list:users", "read:users:activity", "read:servers", "delete:servers"],
        "services": ["idle-culler"],
    }
]
