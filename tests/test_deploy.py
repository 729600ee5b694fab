"""Shows that the image and the Kubernetes manifests are well formed and ask for what there is, as far as files tell."""

import re
from pathlib import Path

import kubernetes_validate
import pytest
import typer.main
import yaml

from pipeline.cli import app

ROOT = Path(__file__).parents[1]
MANIFESTS = sorted((ROOT / "deploy/kubernetes").glob("*.yaml"))
RESOURCES = [resource for file in MANIFESTS for resource in yaml.safe_load_all(file.read_text())]
JOBS = {resource["metadata"]["name"]: resource["spec"] for resource in RESOURCES if resource["kind"] == "Job"}
CONTAINERS = {name: job["template"]["spec"]["containers"][0] for name, job in JOBS.items()}
DOCKERFILE = (ROOT / "deploy/Dockerfile").read_text()


@pytest.mark.parametrize("resource", RESOURCES, ids=lambda resource: resource["metadata"]["name"])
def test_each_resource_is_what_kubernetes_takes(resource):
    kubernetes_validate.validate(resource, "1.33", strict=True)


@pytest.mark.parametrize("name", JOBS)
def test_each_container_runs_a_command_that_there_is(name):
    command, *arguments = CONTAINERS[name]["args"]
    commands = typer.main.get_command(app).commands

    assert commands[command].make_context(command, arguments).params["state"] == Path("/run/state")


def test_what_a_container_refers_to_is_made_by_a_manifest_or_told_in_one():
    told = "\n".join(file.read_text() for file in MANIFESTS)
    claims = {resource["metadata"]["name"] for resource in RESOURCES if resource["kind"] == "PersistentVolumeClaim"}

    for job, container in zip(JOBS.values(), CONTAINERS.values(), strict=True):
        (volume,) = job["template"]["spec"]["volumes"]
        (mount,) = container["volumeMounts"]
        assert volume["name"] == mount["name"]
        assert volume["persistentVolumeClaim"]["claimName"] in claims
        secret = container["env"][0]["valueFrom"]["secretKeyRef"]
        assert f"create secret generic {secret['name']} " in told
        assert f"--from-literal={secret['key']}=" in told


def test_workers_have_an_index_and_the_name_of_their_job():
    names = {variable["name"] for variable in CONTAINERS["lrrt-stage"]["env"]}

    assert JOBS["lrrt-stage"]["completionMode"] == "Indexed"  # Kubernetes sets JOB_COMPLETION_INDEX then
    assert names == {"LRRT_STORAGE", "JOB_NAME"}


def test_an_image_is_built_of_files_that_there_are_and_starts_a_command_that_is_installed():
    copied = [source for line in re.findall(r"^COPY (.*)$", DOCKERFILE, re.M) for source in line.split()[:-1]]
    project = (ROOT / "pyproject.toml").read_text()

    assert copied
    assert all((ROOT / source).exists() for source in copied)
    assert {"lrrt", "studies", "pipeline", "examples", "setup.py"} <= set(copied)
    (command,) = re.findall(r'^ENTRYPOINT \["(.*)"\]$', DOCKERFILE, re.M)
    assert re.search(rf'^{command} = "pipeline.__main__:main"$', project, re.M)
    for extra in re.findall(r"\.\[(\w+)\]", DOCKERFILE):
        assert re.search(rf"^{extra} = \[$", project, re.M)
