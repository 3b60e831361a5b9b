#!/usr/bin/python3
"""schema_page.py: brings the columns and keys in deploy/man/vestige-schema.7.scd up to date, by what a
server says that has just got the schema. What stands between `; made: NAME` and `; end` is made here, all
else is written by hand. A table that is not in the page yet comes before `; more tables`."""

import os
import re
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from private_server import VestigeServer  # noqa: E402  (the path comes first)

PAGE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../deploy/man/vestige-schema.7.scd")
COMMON = ("host_id", "id", "day", "created_at", "destroyed_at", "end_cause", "seen_by", "batch",
          "settle_batch", "end_batch")
HOST = "example"
BLOCK = re.compile(r"^; made: (\S+)\n(?:.*\n)*?; end\n", re.M)


def plain(text):
    """Text that scdoc takes as it is."""
    return re.sub(r"([\\_*#`<>~.])", r"\\\1", text)


def type_of(column_type, nullable, default):
    shown = column_type.replace("','", " ").replace("('", " ").replace("')", "")
    shown = re.sub(r"\((\d+)\)(?= unsigned|$)", lambda size: "" if "int" in column_type else size[0], shown)
    return shown + (", may be NULL" if nullable == "YES" and default in (None, "NULL") else "")


def columns(server, table):
    return server.run(
        "SELECT column_name, column_type, is_nullable, column_default, column_comment "
        "FROM information_schema.columns WHERE table_schema = DATABASE() AND table_name = %s "
        "ORDER BY ordinal_position", table)


def keys(server, table):
    return server.run(
        "SELECT index_name, GROUP_CONCAT(CONCAT(column_name, IF(sub_part IS NULL, '', "
        "CONCAT('(', sub_part, ')'))) ORDER BY seq_in_index SEPARATOR ', ') "
        "FROM information_schema.statistics WHERE table_schema = DATABASE() AND table_name = %s "
        "GROUP BY index_name ORDER BY index_name = 'PRIMARY' DESC, index_name", table)


def table_lines(server, table):
    found = columns(server, table)
    is_lifecycle = {"host_id", "id", "day"} <= {column[0] for column in found}
    for name, kind, nullable, default, comment in found:
        if is_lifecycle and name in COMMON:
            continue
        yield f"- *{plain(name)}* {plain(type_of(kind, nullable, default))}" + (
            f": {plain(comment)}" if comment else "")
    yield ""
    yield "Keys: " + "; ".join(f"({plain(names)})" for _, names in keys(server, table)) + "\\."


def common_lines(server):
    for name, kind, nullable, default, _ in columns(server, "endpoint"):
        if name in COMMON:
            yield f"- *{plain(name)}* {plain(type_of(kind, nullable, default))}"


def luarm_lines(server):
    for table, names in server.run(
            "SELECT table_name, GROUP_CONCAT(CONCAT(column_name, ' ', column_type) "
            "ORDER BY ordinal_position SEPARATOR ', ') FROM information_schema.columns "
            f"WHERE table_schema = 'luarm_{HOST}' GROUP BY table_name ORDER BY table_name"):
        yield f"*{table}*"
        yield f"\t{plain(names)}"
        yield ""


def made(server):
    """The lines of each block, by its name."""
    tables = [name for name, in server.run(
        "SELECT table_name FROM information_schema.tables WHERE table_schema = DATABASE() "
        "AND table_type = 'BASE TABLE' ORDER BY table_name")]
    return {"common": list(common_lines(server)), "luarm": list(luarm_lines(server)),
            **{table: list(table_lines(server, table)) for table in tables}}


def renewed(text, server):
    blocks = made(server)
    told = BLOCK.findall(text)
    more = "".join(f"## {plain(name)}\n\n; made: {name}\n; end\n\n" for name in blocks if name not in told)
    text = text.replace("; more tables\n", more + "; more tables\n")
    return BLOCK.sub(lambda block: "\n".join(
        [f"; made: {block[1]}", *blocks.get(block[1], ["; there is no such table"]), "; end", ""]), text)


def renewed_page():
    """The page as it is and as it should be."""
    with open(PAGE) as page:
        before = page.read()
    server = VestigeServer()
    try:
        server.enrol(HOST)
        server.vestige("server", "luarm", HOST)
        session = server.root("vestige")
        session.run("SET SESSION group_concat_max_len = 100000")
        after = renewed(before, session)
        session.close()
    finally:
        server.close()
    return before, after


def main():
    before, after = renewed_page()
    with open(PAGE, "w") as page:
        page.write(after)
    print("renewed" if before != after else "nothing to do")


if __name__ == "__main__":
    main()
