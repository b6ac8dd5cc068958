package storage

// SQLite's index of words forgets at once what is dropped (secure-delete of FTS5,
// and of SQLite). Two kinds of traces stay in the file all the same. FTS5 names a
// page of words by the first of them, as much of it as tells it from the word
// before, until the page is merged with others. And SQLite, where it moves rows
// between pages, leaves what it has moved in the free part of a page. After a
// search text had to go that nobody may find any more, the caller tidies up.

const (
	// tidyPages is how much of the index one call of TidySearch merges: some
	// milliseconds of work, as others want to write.
	tidyPages = 64
	// tidyMark is what the index has at the position 0 once it was tidied.
	tidyMark = "\uE002"
)

// TidySearch takes the traces of dropped words out of SQLite's file; first is the
// first call. It does a part of the work and tells whether there is more: then
// the caller calls it again, in another transaction. On PostgreSQL, where VACUUM
// and REINDEX decide, it does nothing.
func (tx *Tx) TidySearch(first bool) (more bool, err error) {
	if tx.dialect.name == postgresDialect.name {
		return false, nil
	}
	if first {
		// Nothing is merged where there is only one part of the index. This is another:
		// no event has the position 0, and no search asks for the mark.
		err = tx.run(`INSERT INTO search_words (rowid, words) VALUES (0, $1)`, tidyMark)
		return true, err // what is added is a part of its own when the transaction ends
	}
	started, err := tx.mergeSearch(tidyPages)
	if err != nil || started {
		return started, err
	}
	parts, err := tx.searchParts()
	if err != nil {
		return false, err
	}
	if parts > 1 { // everything is to be merged (FTS5, The 'merge' Command)
		_, err = tx.mergeSearch(-tidyPages)
		return true, err
	}
	return false, tx.scrubSearch()
}

// mergeSearch merges pages of the index, and tells whether there were any to
// merge: below two changes there were none (FTS5, The 'merge' Command).
func (tx *Tx) mergeSearch(pages int) (bool, error) {
	var before, after int64
	const changes = `SELECT total_changes()`
	if err := tx.one(changes, nil, &before); err != nil {
		return false, err
	}
	if err := tx.run(`INSERT INTO search_words (search_words, rank) VALUES ('merge', $1)`, pages); err != nil {
		return false, err
	}
	err := tx.one(changes, nil, &after)
	return after-before >= 2, err
}

// searchParts is how many parts the index has, which merging makes one.
func (tx *Tx) searchParts() (n int64, err error) {
	return n, tx.one(`SELECT COUNT(DISTINCT segid) FROM search_words_idx`, nil, &n)
}

// scrubSearch overwrites the free parts of those pages of the index that are not
// full of what has just been merged: the one with the records at the start of its
// data, by rows that fill it, and those of its names of pages, by writing them
// anew. What is deleted is overwritten.
func (tx *Tx) scrubSearch() error {
	err := tx.run(`INSERT INTO search_words_data (id, block)
		WITH RECURSIVE n (i) AS (SELECT 11 UNION ALL SELECT i + 1 FROM n WHERE i < 1500) SELECT i, x'00' FROM n`)
	if err != nil {
		return err
	}
	// FTS5 itself has 1, 10, and what begins far above.
	if err := tx.run(`DELETE FROM search_words_data WHERE id BETWEEN 11 AND 1500`); err != nil {
		return err
	}
	type name struct {
		part, page int64
		term       []byte
	}
	names, err := all(tx, func(s scanner) (n name, err error) { return n, s.Scan(&n.part, &n.term, &n.page) },
		`SELECT segid, term, pgno FROM search_words_idx ORDER BY segid, term`)
	if err != nil {
		return err
	}
	if err := tx.run(`DELETE FROM search_words_idx`); err != nil {
		return err
	}
	for _, n := range names {
		if n.term == nil {
			n.term = []byte{}
		}
		err := tx.run(`INSERT INTO search_words_idx (segid, term, pgno) VALUES ($1, $2, $3)`, n.part, n.term, n.page)
		if err != nil {
			return err
		}
	}
	return nil
}
