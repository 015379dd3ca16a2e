"""One job of the SSH runner, inside its sandbox.

Reads one JSON document on standard input, works in the current folder (private, in memory), prints one JSON document.
Everything that comes from people or hosts is data: written to files or tagged `!unsafe`, never put into a template,
a command line or a shell.
"""

import json
import os
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
BIN = os.path.dirname(sys.executable)
CLEAN = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C.UTF-8", "HOME": os.getcwd()}


def write(name, content):
    path = os.path.join(os.getcwd(), name)
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
        file.write(content)
    return path


def unsafe(value):
    """A YAML scalar that Ansible never takes for a template. ASCII JSON is a YAML double-quoted scalar."""
    return "!unsafe " + json.dumps(str(value))


def known_hosts_name(target):
    port = target["port"]
    return target["address"] if port == 22 else "[%s]:%d" % (target["address"], port)


def keyscan(job):
    target = job["target"]
    command = ["ssh-keyscan", "-T", "8", "-p", str(target["port"]), "-t", "ed25519,ecdsa,rsa", "--", target["address"]]
    done = subprocess.run(command, env=CLEAN, stdin=subprocess.DEVNULL, capture_output=True, timeout=20)
    keys = []
    for line in done.stdout.decode("utf-8", "replace").splitlines():
        parts = line.split()
        if len(parts) >= 3 and not line.startswith("#"):
            keys.append({"type": parts[1], "key": parts[2]})
    return {"keys": keys, "said": done.stderr.decode("utf-8", "replace")[:1000]}


def inventory(target, key_path, known_hosts):
    options = [
        "-F", "none",
        "-o", "UserKnownHostsFile=" + known_hosts,
        "-o", "GlobalKnownHostsFile=none",
        "-o", "StrictHostKeyChecking=yes",
        "-o", "UpdateHostKeys=no",
        "-o", "HostKeyAlgorithms=" + target["hostKeyAlgorithms"],
        "-o", "IdentitiesOnly=yes",
        "-o", "IdentityAgent=none",
        "-o", "PreferredAuthentications=publickey",
        "-o", "PasswordAuthentication=no",
        "-o", "KbdInteractiveAuthentication=no",
        "-o", "ForwardAgent=no",
        "-o", "ClearAllForwardings=yes",
        "-o", "ServerAliveInterval=5",
        "-o", "ServerAliveCountMax=3",
        "-o", "ConnectTimeout=10",
        "-o", "ControlMaster=auto",
        "-o", "ControlPersist=20",
        "-o", "ControlPath=" + os.path.join(os.getcwd(), "cm"),
    ]
    lines = {
        "ansible_connection": "ansible.builtin.ssh",
        "ansible_host": target["address"],
        "ansible_port": target["port"],
        "ansible_user": target["user"],
        "ansible_ssh_private_key_file": key_path,
        "ansible_ssh_args": " ".join(options),
        "ansible_ssh_transfer_method": "piped",
        "ansible_python_interpreter": "/usr/bin/python3",
        "ansible_become_method": "ansible.builtin.sudo",
        "ansible_become_flags": "-H -S -n",
    }
    body = "".join("      %s: %s\n" % (name, unsafe(value)) for name, value in lines.items())
    become = "true" if target["user"] != "root" else "false"
    pipelining = "      ansible_ssh_pipelining: true\n"
    return "all:\n  hosts:\n    target:\n" + body + pipelining + "      ansible_become: %s\n" % become


def playbook(job):
    target = job["target"]
    known = write("known_hosts", "%s %s %s\n" % (known_hosts_name(target), target["hostKeyType"], target["hostKey"]))
    key_path = write("key", job["privateKey"])
    hosts = write("inventory.yml", inventory(target, key_path, known))
    values = dict(job["variables"])
    if job.get("archive"):
        brought = os.path.join(os.getcwd(), "archive")
        values["engine_archive"] = brought if os.path.exists(brought) else job["archive"]
    variables = "".join("%s: %s\n" % (name, unsafe(value)) for name, value in values.items())
    extra = write("variables.yml", variables or "{}\n")
    events = write("events", "")
    environment = dict(
        CLEAN,
        ATLAS_EVENTS_FILE=events,
        ANSIBLE_CONFIG=write("ansible.cfg", "[defaults]\n"),
        ANSIBLE_HOME=os.path.join(os.getcwd(), "home"),
        ANSIBLE_LOCAL_TEMP=os.path.join(os.getcwd(), "tmp"),
        ANSIBLE_CALLBACK_PLUGINS=os.path.join(HERE, "plugins"),
        ANSIBLE_STDOUT_CALLBACK="atlas_events",
        ANSIBLE_RETRY_FILES_ENABLED="false",
        ANSIBLE_INJECT_FACT_VARS="false",
        ANSIBLE_NOCOWS="true",
        # What is said to the engine is nothing for the host's system log.
        ANSIBLE_NO_TARGET_SYSLOG="true",
        ANSIBLE_HOST_KEY_CHECKING="true",
        ANSIBLE_INVENTORY_ENABLED="ansible.builtin.yaml",
        ANSIBLE_TIMEOUT="12",
        PYTHONDONTWRITEBYTECODE="1",
    )
    command = [os.path.join(BIN, "ansible-playbook"), "-i", hosts, "-e", "@" + extra, os.path.join(HERE, job["playbook"])]
    done = subprocess.run(command, env=environment, stdin=subprocess.DEVNULL, capture_output=True)
    with open(events, encoding="utf-8") as file:
        told = [json.loads(line) for line in file]
    said = (done.stdout + done.stderr).decode("utf-8", "replace")[-2000:]
    return {"events": told, "said": said, "exitCode": done.returncode}


def main():
    job = json.load(sys.stdin)
    os.umask(0o077)
    answer = {"keyscan": keyscan, "playbook": playbook}[job["kind"]](job)
    answer["uid"] = os.getuid()
    print(json.dumps(answer), flush=True)


main()
