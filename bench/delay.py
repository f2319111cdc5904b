"""A slow link: delay.py FROM_PORT TO_PORT MILLISECONDS

Takes connections on every loopback address and hands them on to the same address at
another port; each byte takes half of the round trip's milliseconds, in each direction.
For kernels without netem. When a connection has ended, a line on stdout says how often its
client spoke again after the server had: the round trips that it waited for, at most.
"""

import asyncio
import sys


class Turns:
    """Who spoke last on a connection, and how often the client took its turn."""

    def __init__(self):
        self.count, self.last = 0, None

    def speaks(self, who):
        self.count += who == "client" and who != self.last
        self.last = who


async def carry(who, turns, reader, writer, seconds):
    loop = asyncio.get_running_loop()
    queue = asyncio.Queue(64)

    async def fetch():
        try:
            while data := await reader.read(65536):
                turns.speaks(who)
                await queue.put((loop.time() + seconds, data))
        except OSError:
            pass  # A client that is killed resets its connection; the server has to see its end.
        await queue.put((loop.time() + seconds, b""))

    fetching = asyncio.create_task(fetch())
    try:
        while True:
            when, data = await queue.get()
            await asyncio.sleep(max(0, when - loop.time()))
            if not data:
                break
            writer.write(data)
            await writer.drain()
        writer.write_eof()
    except OSError:
        fetching.cancel()


async def main(listening, beyond, milliseconds):
    async def connected(reader, writer):
        address = writer.get_extra_info("sockname")[0]
        # The handshake of TCP takes its round trip as well.
        await asyncio.sleep(milliseconds / 1000)
        far_reader, far_writer = await asyncio.open_connection(address, beyond)
        half, turns = milliseconds / 2000, Turns()
        ways = (
            carry("client", turns, reader, far_writer, half),
            carry("server", turns, far_reader, writer, half),
        )
        await asyncio.gather(*ways, return_exceptions=True)
        writer.close()
        far_writer.close()
        print(turns.count, flush=True)

    server = await asyncio.start_server(connected, "0.0.0.0", listening, backlog=1000)
    await server.serve_forever()


try:
    asyncio.run(main(int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3])))
except KeyboardInterrupt:
    pass
