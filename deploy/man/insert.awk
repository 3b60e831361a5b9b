# Puts the file `part` in the place of the line that is `word`.
$0 == word {
    while ((getline line < part) > 0)
        print line
    next
}
{ print }
