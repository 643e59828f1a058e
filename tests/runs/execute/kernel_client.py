"""Ask a kernel, as a notebook would."""

from jupyter_client.utils import run_sync


def alive(kernel):
    return run_sync(kernel.is_alive)()


def wait_until_ready(kernel):
    """As a notebook does: a kernel that has not started up yet may miss what it is told."""
    client = kernel.client()
    client.start_channels()
    run_sync(client.wait_for_ready)(timeout=60)
    client.stop_channels()


def ask(kernel, code):
    """What an expression is in the kernel."""

    async def send():
        client = kernel.client()
        client.start_channels()
        await client.wait_for_ready(timeout=60)
        reply = await client.execute("", user_expressions={"it": code}, silent=False, reply=True, timeout=60)
        return reply["content"]["user_expressions"]["it"]["data"]["text/plain"]

    try:
        return run_sync(send)()
    finally:
        kernel.stop_clients()
