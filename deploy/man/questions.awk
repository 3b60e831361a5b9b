# The headers of sql/*.sql (sql/README.md) as sections of a page for scdoc.

function text(words)
{
    gsub(/\\/, "\\\\", words)
    gsub(/[_*#`<>~]/, "\\\\&", words)
    return words
}

function flush_value()
{
    if (key == "question")
        question = value
    else if (key == "parameter")
        parameters[++n_parameters] = value
    else if (key == "column")
        columns[++n_columns] = value
    else if (key == "window")
        window = value
    else if (key == "tags")
        tags = value
    else if (key == "example")
        examples[++n_examples] = value
    else if (key == "schedule")
        schedule = value
    key = ""
}

function print_entry(entry, parts, place)
{
    place = index(entry, ";")
    printf "*%s*\n\t%s\n\n", text(substr(entry, 1, place - 1)), text(substr(entry, place + 2))
}

function print_question()
{
    flush_value()
    if (question != "") {
        printf "## %s\n\n%s\n\n", text(name), text(question)
        for (i = 1; i <= n_parameters; i++)
            print_entry(parameters[i])
        if (n_columns) {
            print "Columns:\n"
            for (i = 1; i <= n_columns; i++)
                print_entry(columns[i])
        }
        if (window != "")
            printf "Window: %s. ", text(window)
        printf "Tags: %s.", text(tags)
        if (schedule != "")
            printf " It may be scheduled."
        print "\n"
        for (i = 1; i <= n_examples; i++)
            printf "```\n%s\n```\n\n", examples[i]
    }
    question = window = tags = schedule = ""
    n_parameters = n_columns = n_examples = 0
}

FNR == 1 {
    print_question()
    name = FILENAME
    sub(/.*\//, "", name)
    sub(/\.sql$/, "", name)
    header = 1
}

!/^--/ { header = 0 }

header && /^-- [a-z]+: / {
    flush_value()
    key = $2
    sub(/:$/, "", key)
    value = $0
    sub(/^-- [a-z]+: */, "", value)
    next
}

header && /^--    *[^ ]/ {
    rest = $0
    sub(/^-- */, "", rest)
    value = value " " rest
}

END { print_question() }
