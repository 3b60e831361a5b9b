# deploy/vestiged.conf, which is what `vestiged --dump-config` prints, as sections of a page for scdoc: the
# comments above a key tell what it is, the last of them which values it may have.

function text(words)
{
    gsub(/\\/, "\\\\", words)
    gsub(/[_*#`<>~]/, "\\\\&", words)
    return words
}

# A key with several lines has one entry, at its first.
function flush_key()
{
    if (key == "")
        return
    printf "*%s*\n", text(key)
    for (i = 1; i <= n; i++)
        printf "\t%s\n", text(comments[i])
    if (value ~ /[^ ]/)
        printf "\tDefault: %s\n", text(value)
    else
        printf "\tDefault: empty\n"
    print ""
    key = ""
    n = 0
}

/^\[/ {
    flush_key()
    printf "## %s\n\n", text($0)
    n = 0
    inside = 1
    next
}

/^# / {
    flush_key()
    comments[++n] = substr($0, 3)
    next
}

/^[a-z_]+ *=/ && inside {
    name = $0
    sub(/ *=.*/, "", name)
    rest = $0
    sub(/^[a-z_]+ *= */, "", rest)
    if (name == key) {
        value = value " " rest
        next
    }
    flush_key()
    key = name
    value = rest
    next
}

/^$/ && !inside { n = 0 }

END { flush_key() }
