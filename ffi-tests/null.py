"""Makes the calls of the NULL test from the header: every function, every pointer parameter NULL in turn.

    null.py HEADER SYMBOLS

Writes C to standard output: a function `null_calls` that makes the calls, and the number of functions that it
covers, which is that of the exported symbols or this program fails.
"""

import re
import sys

header = open(sys.argv[1]).read()
symbols = open(sys.argv[2]).read().split()

# What may be NULL, beside `out_error` and what the comment of the function says may be.
HANDLES = {
    "quorate_pool", "quorate_connection", "quorate_rows", "quorate_batch", "quorate_results", "quorate_cancel",
    "quorate_config", "quorate_statement", "quorate_transaction", "quorate_params", "quorate_nodes",
    "quorate_store", "quorate_cluster", "quorate_buffer", "quorate_error", "quorate_dump",
    "quorate_node_config", "quorate_node", "quorate_sharding_key", "quorate_endpoints",
}
# Valid values that are not made by the type alone.
VALUES = {
    "timeout_ms": "1000", "columns_len": "1", "params_len": "1", "types_len": "1", "max_rows": "1",
    "batch_rows": "1", "id": "77", "mode": "0", "role": "0", "stat": "0", "weight": "1", "value": "0",
    "days": "0", "index": "0", "column": "0", "status": "0",
}
# NULL here is checked by other tests, since the valid call ends what the others need or changes the cluster.
DESTRUCTIVE = re.compile(r"_(free|close|stop|commit|rollback|reset|fire|export_arrow)$|^quorate_cluster_|^quorate_node_")

comments = {}
for match in re.finditer(r"/\*\*((?:(?!\*/).)*)\*/\s*([^;{}]*?)\b(quorate_\w+)\(([^;]*)\);", header, re.S):
    comment, result, name, args = match.groups()
    if "typedef" in result or "static" in result:
        continue
    comments[name] = (re.sub(r"\s*\*\s+", " ", comment), result.strip(), " ".join(args.split()))

missing = set(symbols) ^ set(comments)
if missing:
    sys.exit(f"the header and the list of symbols differ: {sorted(missing)}")

print("/* Made by null.py. */")
print("static void null_calls(struct valid *valid)\n{")
calls = checks = 0
for name in symbols:
    comment, result, args = comments[name]
    params = [] if args == "void" else [part.strip() for part in args.split(",")]
    parsed = []
    for part in params:
        array = re.match(r"(.*)\(\*(\w+)\)\[(\d+)\]", part)
        function = re.match(r"(quorate_\w+_fn) (\w+)", part)
        if array:
            parsed.append(("array", array.group(1).strip(), array.group(2)))
        elif function:
            parsed.append(("function", function.group(1), function.group(2)))
        elif "*" in part:
            type_name, _, own = part.rpartition("*")
            parsed.append(("pointer", type_name.strip(), own.strip()))
        else:
            type_name, own = part.rsplit(" ", 1)
            parsed.append(("value", type_name, own))

    def valid(kind, type_name, own):
        bare = type_name.replace("const", "").replace("struct", "").replace("*", "").strip()
        if kind == "value":
            if own.endswith("_len"):
                return VALUES.get(own, "1")
            if type_name == "struct quorate_timestamp":
                return "valid->timestamp"
            return VALUES.get(own, "0")
        if kind == "function":
            return f"valid_{own}"
        if kind == "array":
            return "&valid->uuid"
        if own == "out_error":
            return "&error"
        if own in ("user_data",):
            return "valid->place"
        if own.startswith("out_"):
            made = type_name.replace("struct", "").replace("*", "").strip()
            return f"&made_{made}" if type_name.count("*") and made in HANDLES else "(void *)valid->place"
        if bare in HANDLES and type_name.count("*") == 0:
            return f"valid->{bare[len('quorate_'):]}"
        if bare == "char":
            # A directory is no store, and none is made.
            return '"."' if own == "path" else '"1"'
        if bare in ("quorate_value", "quorate_column", "quorate_value_buffer"):
            return f"valid->{bare[len('quorate_'):]}"
        return "(void *)valid->place"

    pointers = [index for index, part in enumerate(parsed) if part[0] != "value"]
    for hole in pointers + [None]:
        if hole is None and len(pointers) < 2 and pointers:
            continue
        # None of them: all pointers are NULL at once.
        words = []
        for index, part in enumerate(parsed):
            if index == hole or (hole is None and part[0] != "value"):
                words.append("NULL")
            else:
                words.append(valid(*part))
        call = f"{name}({', '.join(words)})"
        own = parsed[hole][2] if hole is not None else None
        optional = own == "out_error" or own in ("user_data", "destroy") or (
            own is not None and re.search(rf"`{own}`[^.]*may be NULL|NULL is allowed", comment) is not None
        )
        if own == "params":
            optional = False
        if hole is not None and optional and DESTRUCTIVE.search(name):
            continue
        handle = next((v.removeprefix("&made_") for v in words if v.startswith("&made_")), None)
        if handle:
            print(f"    {{\n    {handle} *made_{handle} = NULL;")
        status = result.split()[-1] == "quorate_status" and name != "quorate_error_status"
        if not status:
            print(f"    (void){call};" if result != "void" else f"    {call};")
        elif hole is None or not optional:
            print(f'    null_status("{name}", "{own or "all"}", {call}, {int(own != "out_error" and hole is not None)});')
            checks += 1
        else:
            print(f"    (void){call};")
            print("    quorate_error_free(error), error = NULL;")
        if handle:
            print(f"    {handle}_free(made_{handle});\n    }}")
        calls += 1
print("}")
print(f"enum {{ NULL_FUNCTIONS = {len(symbols)}, NULL_CALLS = {calls}, NULL_CHECKS = {checks} }};")
