"""Which final answers come to the same by the published graders: tests/fixtures/reasoning/answers.json.

Three graders, their rules written down anew from what they document, so that nothing here shares code with the package:
- hendrycks: MATH's own (Hendrycks et al. 2021, `is_equiv`): both are cleaned of looks and compared as text
- minerva: that of Lewkowycz et al. 2022 (`normalize_final_answer`), as language model harnesses use it
- gsm8k: where the truth is a number, the first number of the answer as MetaMath's evaluation reads it (Yu et al. 2023), which
  for a bare number is GSM8K's own reading (Cobbe et al. 2021: digits, commas left out)
"""

import json
import re
from fractions import Fraction
from pathlib import Path

OUT = Path(__file__).parents[3] / "tests" / "fixtures" / "reasoning" / "answers.json"


def braces(text, command):
    """Arguments of one sign get braces: \\sqrt2, \\frac12, \\frac1{72}."""
    count, out, rest = {"\\sqrt": (1), "\\frac": (2)}[command], "", text
    while command in rest:
        before, rest = rest.split(command, 1)
        out += before + command
        for _ in range(count):
            if rest and rest[0] not in "{\\" and not rest[0].isspace():
                out, rest = out + "{" + rest[0] + "}", rest[1:]
            elif rest.startswith("{"):
                end = rest.find("}") + 1
                out, rest = out + rest[:end], rest[end:]
    return out + rest


def hendrycks(text):
    for what, by in [("\n", ""), ("\\!", ""), ("\\\\", "\\"), ("tfrac", "frac"), ("dfrac", "frac"), ("\\left", ""), ("\\right", ""),
                     ("^{\\circ}", ""), ("^\\circ", ""), ("\\$", "")]:
        text = text.replace(what, by)
    text = text.split("\\text{ ")[0].replace("\\%", "")
    text = text.replace(" .", " 0.").replace("{.", "{0.")
    text = "0" + text if text.startswith(".") else text
    sides = text.split("=")
    if len(sides) == 2 and len(sides[0]) <= 2:
        text = sides[1]
    text = braces(braces(text, "\\sqrt").replace(" ", ""), "\\frac")
    if text == "0.5":
        return "\\frac{1}{2}"
    plain = re.fullmatch(r"(-?\d+)/(-?\d+)", text)
    return f"\\frac{{{plain[1]}}}{{{plain[2]}}}" if plain else text


REMOVED = """square ways integers dollars mph inches ft hours km units \\ldots sue points feet minutes digits cents degrees cm gm
pounds meters meals edges students childrentickets multiples \\text{s} \\text{.} \\text{}^2 \\text{}^3 \\text{} \\mathrm{th} ^\\circ
^{\\circ} \\; ,\\! {,} " \\dots""".split()


def minerva(text):
    text = text.split("=")[-1]
    for what, by in [("an ", ""), ("a ", ""), (".$", "$"), ("\\$", ""), ("\\ ", ""), (" ", ""), ("mbox", "text"),
                     (",\\text{and}", ","), ("\\text{and}", ","), ("\\text{m}", "\\text{}")]:
        text = text.replace(what, by)
    for what in REMOVED:
        text = text.replace(what, "")
    mathematics = re.search(r"\$(.*?)\$", text)
    text = mathematics[1] if mathematics else text
    for command in ("text", "textbf", "overline"):
        text = re.sub(r"\\%s\{(.*?)\}" % command, r"\1", text)
    text = re.sub(r"\\boxed\{(.*)\}", r"\1", text)
    text = re.sub(r"frac([^{])(.)", r"frac{\1}{\2}", text)
    text = re.sub(r"sqrt([^{])", r"sqrt{\1}", text).replace("$", "")
    return text.replace(",", "") if text.replace(",", "").isdigit() else text


NUMBER = r"[-+]?(?:\d[\d,]*)?(?:\.\d+|/\d+|\d)"


def gsm8k(text):
    found = re.search(NUMBER, text.replace("$", "").replace("\u2212", "-"))
    return None if found is None else Fraction(found[0].replace(",", "").lstrip("+"))


def is_number(text):
    return re.fullmatch(r"-?[\d,]*\.?\d+", text) is not None


def verdicts(truth, answer):
    return {
        "hendrycks": hendrycks(truth) == hendrycks(answer),
        "minerva": minerva(truth) == minerva(answer),
        "gsm8k": is_number(truth) and gsm8k(truth) == gsm8k(answer),
    }


# Truth, answer.
PAIRS = [
    ("18", "18"), ("18", "18."), ("18", "18 dollars"), ("18", "$18"), ("18", "\\$18"), ("18", "$18 per day"), ("18", "$18$"),
    ("18", "18.00"), ("18", "18 dollars for 3 days"), ("18", "about 18 apples"), ("18", "a total of 18"), ("18", "19"),
    ("18", "-18"), ("18", "18 apples"), ("18", "x = 18"), ("18", "6 * 3 = 18"), ("18", "Profit = $18"), ("18", "81"),
    ("72", "72, in total."), ("72", "72 clips"), ("72", "**72**"), ("72", "\\boxed{72}"), ("72", "\\(72\\)"), ("72", "72\\\\"),
    ("1000", "1,000"), ("1000", "1{,}000"), ("1000", "1\\,000"), ("1000", "1,\\!000"), ("1000", "$1,000.00"), ("1000", "1.000"),
    ("1,234,567", "1234567"), ("100000", "1,00,000"), ("12", "1,2"), ("12", "1 2"), ("-3", "\u22123"), ("-3", "- 3"), ("-5", "-5.0"),
    ("3", "+3"), ("0.5", ".5"), ("0.5", "\\frac{1}{2}"), ("0.5", "1/2"), ("\\frac{1}{2}", "\\frac12"), ("\\frac{1}{2}", "\\dfrac{1}{2}"),
    ("\\frac{1}{2}", "\\tfrac12"), ("\\frac{1}{2}", "1/2"), ("\\frac{1}{2}", "0.5"), ("\\frac{1}{72}", "\\frac1{72}"),
    ("\\frac{1}{2}", "\\frac{2}{4}"), ("\\frac{3}{4}", "0.75"), ("\\frac{1}{3}", "0.33"), ("\\frac{1}{2}", "2"), ("\\frac{11}{2}", "1/12"),
    ("1\\frac{1}{2}", "1 1/2"), ("1\\frac{1}{2}", "3/2"), ("1\\frac{1}{2}", "11/2"), ("1.5", "1\u00bd"),
    ("\\sqrt{2}", "\\sqrt2"), ("2\\sqrt{3}", "2\\sqrt3"), ("\\frac{\\sqrt{2}}{2}", "\\frac{\\sqrt2}2"), ("\\sqrt{2}", "\u221a2"),
    ("\\sqrt{23}", "\\sqrt2 3"), ("90", "90^\\circ"), ("90^\\circ", "90^{\\circ}"), ("90", "90 degrees"), ("90", "90\u00b0"), ("50", "50%"),
    ("50", "50\\%"), ("50\\%", "50 percent"), ("50", "0.5"), ("5", "5\\text{ cm}"), ("5\\text{ cm}", "5"), ("5", "5 cm"), ("5", "5\\mbox{ cm}"),
    ("5\\text{ cm}", "5 cm"), ("5\\text{ cm}", "5\\text{ m}"), ("5\\text{ cm}^2", "5 square centimeters"), ("5", "5\\text{ cm}^2"),
    ("5 cm", "5 m"), ("5 cm", "5 centimeters"), ("5 hours", "5 minutes"), ("$5", "5 dollars"), ("$5", "\u20ac5"), ("5", "5\\,\\text{m}"),
    ("(1,2)", "(1, 2)"), ("(1,2)", "\\left(1,2\\right)"), ("(1,2)", "(2,1)"), ("(1,2)", "[1,2]"), ("[0,\\infty)", "[0, \\infty)"),
    ("(0.5,3)", "(\\frac{1}{2},3)"), ("(-1,2)", "(\u22121, 2)"), ("(-\\infty,2]", "(-\u221e, 2]"), ("1,2,3", "1, 2, 3"), ("1,2,3", "1,3,2"),
    ("\\{1,2\\}", "\\{1, 2\\}"), ("x+1", "x + 1"), ("x+1", "1+x"), ("2x", "2"), ("2", "2x"), ("2x", "2 x"), ("x = 5", "5"), ("5", "k=5"),
    ("y=2x+3", "2x+3"), ("x+y=5", "5"), ("\\text{east}", "east"), ("east", "west"), ("\\text{(A)}", "(A)"), ("\\boxed{\\text{east}}", "east."),
    ("\\frac{x+1}{2}", "\\frac{x + 1}{2}"), ("18", "18 to 20"), ("18", "18 or 20"), ("18", "at least 18"), ("5", "5 feet 3 inches"),
    ("\\pi", "\u03c0"), ("300000", "3 \\times 10^5"), ("2", "two"), ("10", "x \\ge 10"), ("6", "6!"),
]


def main():
    rows = [{"truth": truth, "answer": answer, **verdicts(truth, answer)} for truth, answer in PAIRS]
    OUT.write_text("[\n" + ",\n".join(json.dumps(row, ensure_ascii=True) for row in rows) + "\n]\n")
    print(len(rows), "pairs;", sum(any(v is True for v in row.values()) for row in rows), "the same by one grader or more")


if __name__ == "__main__":
    main()
