"""Run by ``test_kill``: asks for, approves and closes cases until it is killed; says each approval once it is made."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from audit.governance.scope import Scope
from tests.support.governed import Governed


async def main(folder: Path) -> None:
    governed = Governed(folder)
    async with governed.open() as governance:
        print("ready", flush=True)
        while True:
            case_id = await governed.active_case(Scope(actors=("alice",)))
            print("approved", case_id, flush=True)
            if int(case_id[-1], 16) % 2:
                await governance.cases.close(case_id, governed.officer("dana"))
                print("closed", case_id, flush=True)


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1])))
