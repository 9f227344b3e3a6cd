"""Tests of the digest. Run with: python3 -m unittest (in this folder)."""

import json
import unittest

from index import bucket_of, digest, entries, handler, normalise


def entry(message, application="web", user='"web"', query=""):
    """One csvlog entry as PostgreSQL 15 writes it."""
    quoted = message.replace('"', '""')
    return (
        f'2026-01-02 03:04:05.678 UTC,{user},"shop",42,"127.0.0.1:5000",65.2a,1,"SELECT",2026-01-02 03:04:00 UTC,'
        f'3/7,0,LOG,00000,"{quoted}",,,,,,"{query}",,,"{application}","client backend",,0\n'
    )


def timed(statement, ms="1.000"):
    """An entry of a statement and its duration."""
    return entry(f"duration: {ms} ms  statement: {statement}")


def digest_of(*texts):
    """The digest of a log made of these texts."""
    return digest("".join(texts).encode())


class Normalise(unittest.TestCase):
    """The normal form of a statement."""

    def same(self, *statements):
        """All these statements have one normal form; returns it."""
        forms = {normalise(statement) for statement in statements}
        self.assertEqual(len(forms), 1, forms)
        return forms.pop()

    def test_literals_become_question_marks(self):
        self.assertEqual(
            normalise("select 1, 1.5e-3, .5, 'a', E'b\\'c', U&'\\00fc', B'01', $$d$$, $x$e $$ '$x$ from t"),
            "select ?, ?, ?, ?, ?, ?, ?, ?, ? from t",
        )

    def test_quotes_inside_a_string_do_not_end_it(self):
        form = normalise("update t set a = 'it''s -- /* \"x\"' where b = 1")
        self.assertEqual(form, "update t set a = ? where b = ?")

    def test_a_sign_belongs_to_the_literal_unless_it_subtracts(self):
        self.same("set a = a + -5", "set a = a + 5", "set a=a+-5")
        self.same("values (-1, +2)", "values (1, 2)")
        self.assertEqual(normalise("select a -1, a - b, -b"), "select a - ?, a - b, - b")

    def test_white_space_and_letter_case_do_not_matter(self):
        form = self.same(
            "SELECT a,b FROM t\n\tWHERE a=1 ;",
            "select a, b from T where a = 2",
            "select a , b from t where a = 3;;",
        )
        self.assertEqual(form, "select a, b from t where a = ?")

    def test_quoted_names_keep_their_case_and_spaces(self):
        self.assertEqual(normalise('SELECT "My  Column" FROM "T""1"'), 'select "My  Column" from "T""1"')

    def test_comments_go_also_nested_ones(self):
        self.same("select 1", "/* a /* b */ 'c */ select -- it's\n 1", "select 1 /* never closed")

    def test_lists_of_any_length_collapse(self):
        self.assertEqual(self.same("a in (1)", "a IN(1,2)", "a in ('x', -2, '3'::text)", "a in ($1, $2)"), "a in (...)")
        self.assertEqual(self.same("array[1]", "ARRAY [1, 2]"), "array[...]")
        self.same("values (1, now()), (2, now())", "VALUES(1,now()),(2,now()),(3,now())")

    def test_a_subquery_in_a_list_stays(self):
        self.assertEqual(normalise("a in (select b from c)"), "a in (select b from c)")

    def test_parameters_stay(self):
        form = normalise("select a from t where b=$1 and c=$2::int")
        self.assertEqual(form, "select a from t where b = $1 and c = $2::int")

    def test_operators_stay_whole(self):
        self.assertEqual(normalise("a->>'b' @> c || d<>-1"), "a ->> ? @> c || d <> ?")
        self.assertEqual(normalise("a <-> b ?| c+/*no*/d*--no\ne"), "a <-> b ?| c + d * e")

    def test_spacing_is_canonical(self):
        self.same("select count ( * ), a [ 1 ] :: int from s . t", "select count(*), a[1]::int from s.t")

    def test_it_takes_any_text(self):
        for text in ("", ";", "'", "$a$", '"', "/*", "-", "e'\\", "\0\ufffd", "(" * 2000, "in (" * 500, "-+" * 2000):
            normalise(text)

    def test_a_normal_form_is_its_own_normal_form(self):
        form = normalise('SELECT a.*, "B"(c) FROM a WHERE d IN (SELECT e) AND f = $1 ORDER BY g DESC')
        self.assertEqual(normalise(form), form)


class Entries(unittest.TestCase):
    """Cutting a log into entries."""

    def test_an_entry_may_span_lines(self):
        two = [timed("select 'a\n\n2026-01-02 03:04:05 UTC,,,1,\n\"b\"'"), timed("select 2")]
        self.assertEqual([text + "\n" for text in entries("".join(two))], two)

    def test_a_quote_left_open_swallows_one_entry_at_most(self):
        broken = entry("oops")[:-40]
        self.assertEqual(len(list(entries(broken + "\n" + timed("select 1") + timed("select 2")))), 3)


class Digest(unittest.TestCase):
    """From a log to its digest."""

    def test_executions_of_one_statement_add_up(self):
        result = digest_of(timed("select 1", "1.500"), timed("SELECT 2", "8.250"), timed("select  3;", "0.250"))
        self.assertEqual(
            result,
            {
                "entries": 3,
                "skipped": 0,
                "malformed": 0,
                "statements": [
                    {
                        "statement": "select ?",
                        "calls": 3,
                        "totalMs": 10.0,
                        "maxMs": 8.25,
                        "minMs": 0.25,
                        "sample": "SELECT 2",
                        "histogram": {"-8": 1, "2": 1, "12": 1},
                    }
                ],
            },
        )

    def test_the_heaviest_statement_comes_first(self):
        result = digest_of(timed("select a", "1.000"), timed("select b", "3.000"), timed("select c", "2.000"))
        self.assertEqual([item["statement"] for item in result["statements"]], ["select b", "select c", "select a"])

    def test_only_executions_count(self):
        result = digest_of(
            entry("duration: 1.000 ms  parse p1: select $1"),
            entry("duration: 1.000 ms  bind p1: select $1"),
            entry("duration: 1.000 ms  execute p1: select $1"),
            entry("duration: 2.000 ms  execute <unnamed>: select $1"),
            entry("duration: 2.000 ms"),
            entry("checkpoint starting: time"),
            entry('syntax error at or near "selct"', query="selct 1"),
        )
        self.assertEqual((result["entries"], result["skipped"], result["malformed"]), (7, 5, 0))
        self.assertEqual([(item["statement"], item["calls"]) for item in result["statements"]], [("select $1", 2)])

    def test_bad_lines_are_counted(self):
        too_few_columns = '2026-01-02 03:04:05 UTC,"web","shop"\n'
        result = digest_of("nonsense\n", too_few_columns, timed("select 1"), timed("select 2")[:-50])
        self.assertEqual((result["entries"], result["skipped"], result["malformed"]), (4, 0, 3))
        self.assertEqual(result["statements"][0]["calls"], 1)

    def test_bytes_that_are_no_text_do_not_stop_it(self):
        for noise in (b"", b"\n\n", b"\xff\xfe\x00\n", bytes(range(256)) * 20, b'"' * 1001):
            result = digest(noise + b"\n" + timed("select 1").encode())
            self.assertEqual(result["entries"], result["skipped"] + result["malformed"] + 1)

    def test_logs_of_older_releases_are_read(self):
        result = digest_of(timed("select 1").replace(',"client backend",,0', ""))
        self.assertEqual(result["statements"][0]["calls"], 1)

    def test_samples_are_truncated(self):
        sample = digest_of(timed("select '" + "x" * 1000 + "'"))["statements"][0]["sample"]
        self.assertEqual((len(sample), sample[-1]), (400, "…"))

    def test_buckets_are_a_quarter_of_a_doubling(self):
        buckets = [bucket_of(us) for us in (0, 1, 500, 999, 1000, 1999, 2000, 4000)]
        self.assertEqual(buckets, [-40, -40, -4, -1, 0, 3, 4, 8])

    def test_the_answer_is_json(self):
        answer = handler(timed("select 'ü'").encode(), None)
        self.assertEqual(json.loads(json.dumps(answer)), answer)


if __name__ == "__main__":
    unittest.main()
