"""An echo server and its client with asyncio: each stream is a socket like any other.

    echo_asyncio.py                 serves /echo/1 and prints where
    echo_asyncio.py ADDR [TEXT]     sends TEXT there, and prints what comes back
"""
import asyncio
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "bindings" / "python"))
import libp2p  # noqa: E402

PROTOCOL = "/echo/1"


async def echo(stream):
    reader, writer = await stream.asyncio()
    while data := await reader.read(65536):
        writer.write(data)
        await writer.drain()
    writer.close()


async def serve():
    with libp2p.Host(listen="/ip4/127.0.0.1/tcp/0") as host, host.listen(PROTOCOL) as listener:
        print(host.addrs[0], flush=True)
        tasks = set()
        while True:
            task = asyncio.create_task(echo(await asyncio.to_thread(listener.accept)))
            tasks.add(task)  # asyncio itself keeps no reference
            task.add_done_callback(tasks.discard)


async def call(addr, text):
    with libp2p.Host() as host:
        stream = await asyncio.to_thread(host.dial, addr, PROTOCOL)
        reader, writer = await stream.asyncio()
        writer.write(text.encode())
        writer.write_eof()
        print((await reader.read()).decode())
        writer.close()


try:
    asyncio.run(call(sys.argv[1], " ".join(sys.argv[2:]) or "hello") if sys.argv[1:] else serve())
except KeyboardInterrupt:
    pass
