"""Profiles a CSV file: writes profile.json and profile.md. Needs only the standard library."""

import argparse
import collections
import csv
import io
import json
import pathlib
import sys


def parse(text, delimiter):
    return (row for row in csv.reader(io.StringIO(text, newline=""), delimiter=delimiter) if row)


def read_rows(path):
    raw = pathlib.Path(path).read_bytes()
    for encoding in ("utf-8-sig", "cp1252", "latin-1"):
        try:
            text = raw.decode(encoding)
            break
        except UnicodeDecodeError:
            continue
    if not text.strip():
        raise ValueError("the file is empty")
    delimiter = max(",;\t|", key=lambda candidate: len(next(parse(text, candidate))))
    rows = list(parse(text, delimiter))
    return encoding, delimiter, rows[0], rows[1:]


def as_number(cell):
    try:
        number = float(cell)
    except ValueError:
        return None
    return number if number - number == 0 else None


def profile_column(name, cells, max_values):
    filled = [cell.strip() for cell in cells if cell.strip()]
    numbers = [number for number in map(as_number, filled) if number is not None]
    kind = "empty" if not filled else "number" if len(numbers) == len(filled) else "mixed" if numbers else "text"
    counts = collections.Counter(filled)
    frequent = sorted(counts.items(), key=lambda item: (-item[1], item[0]))[:max_values]
    column = {
        "name": name,
        "type": kind,
        "empty": len(cells) - len(filled),
        "distinct": len(counts),
        "frequent": [{"value": value, "count": count} for value, count in frequent],
    }
    if kind == "number":
        column.update(min=min(numbers), max=max(numbers), mean=sum(numbers) / len(numbers))
    return column


def profile(path, max_values):
    encoding, delimiter, header, rows = read_rows(path)
    width = len(header)
    return {
        "file": pathlib.Path(path).name,
        "encoding": encoding,
        "delimiter": delimiter,
        "rows": len(rows),
        "columns": [
            profile_column(name, [row[at] if at < len(row) else "" for row in rows], max_values)
            for at, name in enumerate(header)
        ],
        "rows_of_other_length": sum(len(row) != width for row in rows),
        "duplicate_rows": len(rows) - len(set(map(tuple, rows))),
    }


def as_markdown(result):
    def cell(value):
        return str(value).replace("|", "\\|").replace("\n", " ")

    lines = [
        f"# Profile of {result['file']}",
        "",
        f"{result['rows']} rows, {len(result['columns'])} columns, encoding {result['encoding']}, "
        f"delimiter {result['delimiter']!r}, {result['rows_of_other_length']} rows of another length, "
        f"{result['duplicate_rows']} duplicate rows.",
        "",
        "| column | type | empty | distinct | range | frequent values |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for column in result["columns"]:
        span = f"{column['min']:g} to {column['max']:g}" if column["type"] == "number" else ""
        frequent = ", ".join(f"{item['value']} ({item['count']})" for item in column["frequent"])
        values = (column["name"], column["type"], column["empty"], column["distinct"], span, frequent)
        lines.append("| " + " | ".join(map(cell, values)) + " |")
    return "\n".join(lines) + "\n"


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("table")
    parser.add_argument("--out", default="artifacts")
    parser.add_argument("--max-values", type=int, default=5)
    arguments = parser.parse_args()
    out = pathlib.Path(arguments.out)
    out.mkdir(parents=True, exist_ok=True)
    try:
        result, problem = profile(arguments.table, arguments.max_values), None
        markdown = as_markdown(result)
    except (OSError, ValueError, csv.Error) as error:
        problem = f"cannot profile {pathlib.Path(arguments.table).name}: {error}"
        result = {"file": pathlib.Path(arguments.table).name, "rows": 0, "columns": [], "error": problem}
        markdown = f"# Profile of {result['file']}\n\n{problem}\n"
    (out / "profile.json").write_text(json.dumps(result, ensure_ascii=False, indent=2) + "\n", encoding="utf-8")
    (out / "profile.md").write_text(markdown, encoding="utf-8")
    if problem:
        print(problem, file=sys.stderr)
        return 1
    print(f"{result['rows']} rows, {len(result['columns'])} columns")
    return 0


if __name__ == "__main__":
    sys.exit(main())
