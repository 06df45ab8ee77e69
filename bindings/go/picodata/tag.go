package picodata

import (
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// CommandTag says what a statement has done. It is made of the statement's first words and the number of rows.
type CommandTag struct{ text string }

// NewCommandTag makes a tag of its text.
func NewCommandTag(text string) CommandTag { return CommandTag{text} }

// RowsAffected is the number at the end of the tag; 0 where there is none.
func (t CommandTag) RowsAffected() int64 {
	number, err := strconv.ParseInt(t.text[strings.LastIndexByte(t.text, ' ')+1:], 10, 64)
	if err != nil {
		return 0
	}
	return number
}

// String is the tag as PostgreSQL writes it: "INSERT 0 1", "UPDATE 3", "CREATE TABLE".
func (t CommandTag) String() string { return t.text }

// Insert says whether the statement was an INSERT.
func (t CommandTag) Insert() bool { return strings.HasPrefix(t.text, "INSERT") }

// Update says whether the statement was an UPDATE.
func (t CommandTag) Update() bool { return strings.HasPrefix(t.text, "UPDATE") }

// Delete says whether the statement was a DELETE.
func (t CommandTag) Delete() bool { return strings.HasPrefix(t.text, "DELETE") }

// Select says whether the statement was a SELECT.
func (t CommandTag) Select() bool { return strings.HasPrefix(t.text, "SELECT") }

// readsRows says whether a text is one statement that only answers rows. The library counts what is changed, so these have
// to be counted by reading them. What is no query is executed, because a text that is executed may have several statements.
func readsRows(sql string) bool {
	words := words{text: sql}
	switch words.verb() {
	case "SELECT", "VALUES", "TABLE":
		end := strings.TrimRight(sql, "; \t\r\n")
		return !strings.Contains(end, ";")
	}
	return false
}

func newTag(sql string, rows int64) CommandTag {
	words := words{text: sql}
	verb := words.verb()
	count := strconv.FormatInt(rows, 10)
	switch verb {
	case "INSERT":
		return CommandTag{"INSERT 0 " + count}
	case "VALUES", "TABLE":
		return CommandTag{"SELECT " + count}
	case "SELECT", "UPDATE", "DELETE", "MERGE":
		return CommandTag{verb + " " + count}
	case "CREATE", "DROP", "ALTER", "TRUNCATE":
		return CommandTag{strings.TrimSpace(verb + " " + words.object())}
	}
	return CommandTag{verb}
}

// words reads the words of a statement, in capitals; what stands in quotes, in comments and in brackets is passed over.
type words struct{ text string }

// next is the next word; none at the end.
func (w *words) next() string {
	for depth := 0; w.text != ""; {
		letter, size := utf8.DecodeRuneInString(w.text)
		switch {
		case strings.HasPrefix(w.text, "--"):
			w.skip("\n", 2)
		case strings.HasPrefix(w.text, "/*"):
			w.skip("*/", 2)
		case letter == '\'' || letter == '"':
			w.skip(string(letter), 1)
		case letter == '(':
			depth++
			w.text = w.text[size:]
		case letter == ')':
			depth--
			w.text = w.text[size:]
		case isLetter(letter):
			word := w.text
			if end := strings.IndexFunc(w.text, func(r rune) bool { return !isLetter(r) }); end >= 0 {
				word = w.text[:end]
			}
			w.text = w.text[len(word):]
			if depth <= 0 {
				return strings.ToUpper(word)
			}
		default:
			w.text = w.text[size:]
		}
	}
	return ""
}

func isLetter(r rune) bool { return r == '_' || unicode.IsLetter(r) || unicode.IsDigit(r) }

// skip passes over what begins here, with so many bytes, and ends with `end`.
func (w *words) skip(end string, begin int) {
	if at := strings.Index(w.text[begin:], end); at >= 0 {
		w.text = w.text[begin+at+len(end):]
		return
	}
	w.text = ""
}

// verb is the first word, or behind WITH clauses that of the statement they belong to.
func (w *words) verb() string {
	if first := w.next(); first != "WITH" {
		return first
	}
	for {
		switch word := w.next(); word {
		case "", "SELECT", "INSERT", "UPDATE", "DELETE", "MERGE", "VALUES":
			return word
		}
	}
}

// object is what kind of thing a CREATE, a DROP or an ALTER is about.
func (w *words) object() string {
	for {
		switch word := w.next(); word {
		case "OR", "REPLACE", "UNIQUE", "TEMP", "TEMPORARY", "UNLOGGED", "GLOBAL", "LOCAL":
		default:
			return word
		}
	}
}
