"""What `deploy/` has for a hub of several machines says what the hub that was seen to work says."""

import re
from types import SimpleNamespace

import pytest
import yaml

from mnist_helpers.classroom import hub
from mnist_helpers.classroom.handouts import PARTS
from mnist_helpers.runtime import ROOT

VALUES = yaml.safe_load((ROOT / "deploy" / "values.yaml").read_text(encoding="utf-8"))
DOCKERFILE = (ROOT / "deploy" / "Dockerfile").read_text(encoding="utf-8")


class Settings(SimpleNamespace):
    """What a configuration file sets: each class that is named is there."""

    def __getattr__(self, name: str) -> "Settings":
        self.__dict__[name] = Settings()
        return self.__dict__[name]


@pytest.fixture
def local(monkeypatch, tmp_path) -> Settings:
    """The settings of the hub on this machine, as JupyterHub reads them."""
    own = {"MNIST_HUB": str(tmp_path), "MNIST_HUB_PORT": "8000", "MNIST_HUB_USERS": "ann bob"}
    for name, value in {**own, "MNIST_HUB_PASSWORD": "12345678", "MNIST_HUB_MEMORY": str(hub.MEMORY)}.items():
        monkeypatch.setenv(name, value)
    settings = Settings()
    names = {"get_config": lambda: settings}
    exec((ROOT / "deploy" / "jupyterhub_config.py").read_text(encoding="utf-8"), names)
    return settings


def test_a_cluster_s_servers_start_as_those_of_this_machine_do(local):
    single = VALUES["singleuser"]
    ours = dict(local.Spawner.environment)
    theirs = dict(single["extraEnv"])
    assert ours.pop("JUPYTER_CONFIG_PATH").endswith("edition/lab")
    assert f"&& mv /opt/course/lab {theirs.pop('JUPYTER_CONFIG_PATH')} " in DOCKERFILE
    assert theirs == ours
    assert single["defaultUrl"] == local.Spawner.default_url
    assert single["cmd"] == "jupyterhub-singleuser"
    assert VALUES["hub"]["config"]["JupyterHub"]["authenticator_class"] == local.JupyterHub.authenticator_class


def test_a_cluster_ends_what_nobody_uses_as_this_machine_does(local):
    kernels = VALUES["singleuser"]["extraFiles"]["kernels"]["data"]["MappingKernelManager"]
    assert {f"--MappingKernelManager.{name}={value}" for name, value in kernels.items()} <= set(local.Spawner.args)
    (culler,) = [one["command"] for one in local.JupyterHub.services if one["name"] == "idle-culler"]
    assert VALUES["cull"] == {"enabled": True, "timeout": 3600, "every": 300}
    assert {"--timeout=3600", "--cull-every=300"} <= set(culler)


def test_nobody_comes_in_without_a_password_or_over_a_public_address():
    config = VALUES["hub"]["config"]
    assert set(config) == {"JupyterHub", "Authenticator"}  # and no password
    assert config["Authenticator"] == {"allowed_users": ["instructor", "ann", "bob", "cid"]}
    assert VALUES["proxy"]["service"]["type"] == "ClusterIP"


def test_the_image_is_made_as_the_hub_s_environment_is():
    version = re.search(r"^UV_VERSION = (.*)$", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)[1]
    assert f"uv=={version} " in DOCKERFILE
    assert f'"/opt/course[{hub.EXTRAS}]"' in DOCKERFILE
    for package in hub.PACKAGES:
        assert f'"{package}"' in DOCKERFILE or "culler" in package  # which runs beside the hub
    assert "--constraints /opt/course/requirements-lock.txt" in DOCKERFILE
    assert "WORKDIR /opt/course\nRUN pip install" in DOCKERFILE  # else uv would not know what to leave out
    assert {"requirements-lock.txt", "pyproject.toml", "mnist_helpers", "data", "pretrained"} <= set(PARTS)
    assert "python -m mnist_helpers.course.kernel --install" in DOCKERFILE
    name, tag = re.search(r"--tag (\S+):(\S+) build/student", DOCKERFILE).groups()
    assert VALUES["singleuser"]["image"] == {"name": name, "tag": tag}
    python = re.search(r"^FROM docker.io/library/python:3\.(\d+)-slim$", DOCKERFILE, re.MULTILINE)[1]
    environment = yaml.safe_load((ROOT / "environment.yml").read_text(encoding="utf-8"))
    assert f"python=3.{python}" in environment["dependencies"]
    assert DOCKERFILE.rstrip().splitlines()[-3] == "USER jovyan"  # not root
