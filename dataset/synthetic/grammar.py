"""A small invented grammar: what is signed and what is said of the same thing, from one plan.

Signing puts time, weather and place first and the verb last, and has neither articles nor "is", "has" or "and".
Speech has the verb in the middle, adjectives before their nouns, and place, time and weather at the end.
"""

from typing import NamedTuple

import numpy as np

LENGTHS = {
    3: 0.1,
    4: 0.22,
    5: 0.33,
    6: 0.22,
    7: 0.13,
}  # glosses of a sentence, and how often there are so many

_PEOPLE = ("doctor", "nurse", "uncle", "baby")
_ANIMALS = ("bird", "fish")
_THINGS = ("book", "cheese", "apple") * 2 + (
    "phone",
    "car",
    "tree",
    "table",
)  # the latter have other uses, too
_ADJECTIVES = ("big", "big", "cold")  # so has this one
_TIMES = {"winter": "in winter", "afternoon": "in the afternoon", "week": "this week"}
_WEATHER = {"rain": "when it rains", "snow": "when it snows", "cold": "when it is cold"}
_PLACES = {"table": "at the table", "car": "in the car", "tree": "under the tree"}
_DOINGS = {"sleep": "sleeps", "work": "works", "drink": "drinks"}
_KINDS = {"do": 0.38, "think": 0.2, "phone": 0.1, "have": 0.2, "be": 0.12}


class Plan(NamedTuple):
    """A sentence, or a part of one: its glosses in the order of signing, and the words in that of speech."""

    glosses: tuple[str, ...] = ()
    text: str = ""


def draw_plan(rng: np.random.Generator) -> Plan:
    """A sentence of as many glosses as LENGTHS allows, none of them twice."""
    length = rng.choice(list(LENGTHS), p=list(LENGTHS.values()))
    while True:
        plan = _sentence(rng)
        if len(plan.glosses) == len(set(plan.glosses)) == length:
            return plan


def _sentence(rng: np.random.Generator) -> Plan:
    """Signed: time, weather, place, subject, object, verb. Spoken: subject, verb, object, place, time, weather."""
    time = _maybe(rng, 0.45, _TIMES)
    weather = _maybe(rng, 0.4, _WEATHER)
    place = _maybe(rng, 0.35, _PLACES)
    core = _core(rng)
    return Plan(
        time.glosses + weather.glosses + place.glosses + core.glosses,
        " ".join(part.text for part in (core, place, time, weather) if part.text),
    )


def _maybe(rng: np.random.Generator, probability: float, choice: dict[str, str]) -> Plan:
    """One of `choice`, gloss -> words, or nothing."""
    if rng.random() >= probability:
        return Plan()
    gloss = _one(rng, choice)
    return Plan((gloss,), choice[gloss])


def _core(rng: np.random.Generator) -> Plan:
    """Somebody, and what they do, think of, have or are."""
    kind = rng.choice(list(_KINDS), p=list(_KINDS.values()))
    if kind == "be":
        subject = _noun(rng, (*_PEOPLE, *_ANIMALS, *_THINGS, *_TIMES), "the")
        adjective = _one(rng, _ADJECTIVES)
        return Plan((*subject.glosses, adjective), f"{subject.text} is {adjective}")
    subject = _noun(rng, (*_PEOPLE, *_ANIMALS), "the", described=0.1)
    if kind == "do":
        verbs = rng.permutation(list(_DOINGS))[: rng.integers(1, 3)]
        doings = " and ".join(_DOINGS[verb] for verb in verbs)
        return Plan((*subject.glosses, *(str(verb) for verb in verbs)), f"{subject.text} {doings}")
    if kind == "phone":
        called = _noun(rng, _PEOPLE, "the", described=0.1)
        return Plan((*subject.glosses, *called.glosses, "phone"), f"{subject.text} phones {called.text}")
    if kind == "have":
        owned = _things(rng, _THINGS)
        return Plan(subject.glosses + owned.glosses, f"{subject.text} has {owned.text}")
    thought = _things(rng, (*_PEOPLE, *_ANIMALS, *_THINGS, *_TIMES))
    text = f"{subject.text} thinks of {thought.text}"
    if thought.glosses[0] in _THINGS and rng.random() < 0.3:  # a thing as the topic comes first
        return Plan((*thought.glosses, *subject.glosses, "think"), text)
    return Plan((*subject.glosses, *thought.glosses, "think"), text)


def _things(rng: np.random.Generator, nouns: tuple[str, ...]) -> Plan:
    """One of `nouns` or two, with "a"."""
    first = _noun(rng, nouns, "a", described=0.2)
    if rng.random() < 0.6:
        return first
    second = _noun(rng, nouns, "a", described=0.2)
    return Plan(first.glosses + second.glosses, f"{first.text} and {second.text}")


def _noun(rng: np.random.Generator, nouns: tuple[str, ...], article: str, described: float = 0.0) -> Plan:
    """A noun with its article and, with probability `described`, an adjective, which is signed after it."""
    glosses = [_one(rng, nouns)]
    if glosses[0] in _TIMES:
        article = "the"
    if rng.random() < described:
        glosses.append(_one(rng, _ADJECTIVES))
    words = glosses[::-1]
    if article == "a" and words[0][0] in "aeiou":
        article = "an"
    return Plan(tuple(glosses), " ".join([article, *words]))


def _one(rng: np.random.Generator, choice: tuple[str, ...] | dict[str, str]) -> str:
    return str(rng.choice(list(choice)))
