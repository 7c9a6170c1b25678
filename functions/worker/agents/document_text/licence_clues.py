"""What speaks for each kind of licence."""

from __future__ import annotations

from functions.worker.agents.document_text.clues import Clue, clues, title_clue

PHRASES: tuple[Clue, ...] = (
    *clues(
        "permissive",
        {
            6: (
                "redistribution and use in source and binary forms, with or without modification, are permitted",
                "permission is hereby granted, free of charge, to any person",
                "permission is granted to anyone to use this software for any purpose",
                "each contributor licenses you to do everything with this software",
                "do what the fuck you want to",
            ),
            5: (
                "permission to use, copy, modify, and/or distribute this software",
                "permission to use, copy, modify, and distribute this software",
                "permission to use, copy, modify and distribute this software",
                "grant permission to use, copy, modify",
                "permission is hereby granted to use, copy, modify",
                "permission to copy, modify, and distribute this",
                "subject to the following conditions, to any person obtaining a copy",
                "under any license of your choice that does not contradict",
                "you can do whatever you want with",
                "may provide additional or different license terms and conditions for use, reproduction",
                "nonexclusive, royalty-free, world-wide license to reproduce, analyze, test",
                "redistributions in binary form must reproduce the above copyright notice",
            ),
            3: (
                "without restriction, including without limitation the rights to use, copy, modify",
                "the above copyright notice and this permission notice shall be included in all copies",
                "altered source versions must be plainly marked as such",
                "provided that the above copyright notice and this permission notice appear in all copies",
                "with or without modifications, and in source or object form",
                "artistic control",
                "allow the copyright holder to include your modified version in the standard version",
                "you may do everything with this software",
            ),
            1: ("provided 'as-is'", 'the software is provided "as is", without warranty of any kind'),
        },
    ),
    *clues(
        "weak_copyleft",
        {
            6: (
                "work that uses the library",
                "for any file you distribute that contains code from the software",
                "you may create and distribute a larger work",
                "you may create a larger work by combining",
            ),
            5: (
                "does not apply to any document created using the font",
                "under a license different than this agreement",
                "under its own license agreement",
                "object code form of an application may incorporate material from a header file",
            ),
            3: (
                "larger work",
                "incompatible with secondary licenses",
                "source code form of covered software",
                "covered code is available under the terms of this license",
                "only in source code form must be under the terms of this license",
                "combined work",
                "linking with the library",
                "linked with the library",
                "reserved font name",
            ),
            2: (
                "secondary license",
                "initial developer",
                "combined library",
                "covered software",
                "covered code",
            ),
        },
    ),
    *clues(
        "strong_copyleft",
        {
            6: (
                "that you distribute or publish, that in whole or in part contains or is derived from the program",
                "you must license the entire work, as a whole, under this license",
                "any accompanying software that uses the",
                "shall be licensed under this open software license",
            ),
            5: (
                "does not permit incorporating your program into proprietary programs",
                "distribution or communication will be done under the terms of this license",
            ),
            3: (
                "interacting with it remotely through a computer network",
                "copyleft clause",
                "copyleft license for software",
                "network use",
            ),
            2: (
                "corresponding source",
                "complete corresponding machine-readable source code",
                "covered work",
                "anti-circumvention law",
                "external deployment",
            ),
            1: ("copyleft", "convey the work", "object code or executable form"),
        },
    ),
    *clues(
        "documentation",
        {
            6: (
                "invariant sections",
                "free documentation license",
                "the licensed material",
                "open publication works",
            ),
            4: (
                "adapted material",
                "cover texts",
                "effective technological measures",
                "work as incorporated",
            ),
            3: (
                "transparent copy",
                "secondary section",
                "to share adapted material",
                "title page",
                "collective work",
            ),
            2: (
                "textbook",
                "creative commons public licenses",
                "attribution",
                "sharealike",
                "history section",
            ),
        },
    ),
    *clues(
        "public_domain",
        {
            7: (
                "free and unencumbered software released into the public domain",
                "overtly, fully, permanently, irrevocably and unconditionally waives",
                "dedicate any and all copyright interest in the software to the public domain",
                "hereby dedicates the work to the public domain",
                "not subject to copyright protection",
                "abandon any property rights",
            ),
            4: (
                "public domain dedication",
                "relinquishment in perpetuity",
                "to the detriment of our heirs",
                "to the detriment of affirmer's heirs",
            ),
            3: ("cc0", "dedicate to the public domain"),
            1: ("public domain",),
        },
    ),
)

TITLES: tuple[Clue, ...] = (
    title_clue(
        "permissive",
        4,
        r"\b(?:mit|x11|bsd|isc|zlib|boost|apache|artistic|blue oak|academic free|python software)\b.*\blicense",
        "permissive license",
        "microsoft public license",
    ),
    title_clue("weak_copyleft", 10, r"\b(?:lesser|library) general public license"),
    title_clue(
        "weak_copyleft",
        5,
        r"\b(?:mozilla|eclipse|common|ibm) public license",
        "development and distribution license",
        "open font license",
    ),
    title_clue(
        "strong_copyleft",
        6,
        "(?<!lesser )(?<!library )general public license",
        "open software license",
        "reciprocal public license",
        "european union public license",
    ),
    title_clue(
        "documentation",
        8,
        "documentation license",
        r"attribution(?:-\w+)* \d",
        "open publication license",
    ),
    title_clue("public_domain", 7, r"\bcc0\b", "public domain", "unlicense"),
)
