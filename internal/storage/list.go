package storage

import (
	"encoding/hex"
	"fmt"

	"github.com/go-json-experiment/json"
)

// A list is one parameter of a statement, however long it is, so that the text
// of the statement is always the same:
//
//	tx.run(`DELETE FROM events WHERE room_id = $1 AND event_id `+tx.in(2), room, texts(tx, ids))
//	tx.run(`INSERT INTO edges SELECT $1, list.v FROM `+tx.fromTexts(2)+` WHERE TRUE ON CONFLICT DO NOTHING`, id, texts(tx, ids))
//
// The argument is an array on PostgreSQL and a JSON array on SQLite, where bytes
// are in it as hexadecimals. SQLite's grammar wants the WHERE between a SELECT
// and ON CONFLICT.

// in is the condition that a column of texts is in the list of parameter n.
func (tx *Tx) in(n int) string { return fmt.Sprintf(tx.dialect.in, n) }

// inBytes is in for a column of bytes, whose list [Tx.bytes] makes.
func (tx *Tx) inBytes(n int) string { return fmt.Sprintf(tx.dialect.inBytes, n) }

// fromTexts is a table, list, whose only column, v, has the list of parameter n.
func (tx *Tx) fromTexts(n int) string { return fmt.Sprintf(tx.dialect.fromTexts, n) }

// fromBytes is fromTexts for bytes.
func (tx *Tx) fromBytes(n int) string { return fmt.Sprintf(tx.dialect.fromBytes, n) }

// texts is the argument of a parameter that is a list of texts.
func texts[T ~string](tx *Tx, list []T) any {
	plain := make([]string, len(list))
	for i, text := range list {
		plain[i] = string(text)
		if !storable(plain[i]) {
			plain[i] = cleanText(plain[i])
		}
	}
	if tx.dialect.name == postgresDialect.name {
		return plain
	}
	return jsonList(plain)
}

// bytes is the argument of a parameter that is a list of bytes.
func (tx *Tx) bytes(list [][]byte) any {
	if tx.dialect.name == postgresDialect.name {
		return append([][]byte{}, list...) // never nil, which would be NULL
	}
	digits := make([]string, len(list))
	for i, b := range list {
		digits[i] = hex.EncodeToString(b)
	}
	return jsonList(digits)
}

func jsonList(list []string) string {
	text, err := json.Marshal(list)
	if err != nil {
		panic(err) // no text is such that it has no JSON: texts saw to that
	}
	return string(text)
}
