package storage

import (
	"strings"

	"golang.org/x/text/unicode/norm"

	"lethe/internal/matrix"
)

// PublicRoom is a row of public_rooms: what the directory has of a room.
type PublicRoom struct {
	Room matrix.RoomID
	Type string // of the room, "" for none
	// Text is what is searched, in [Folded] form.
	Text string
	// Summary is what is shown, a JSON object.
	Summary []byte
	// Joined is how many members the room has; it is not stored with it.
	Joined int64
}

// Folded is text as the directory is searched: without the differences of case
// and of how characters are composed.
func Folded(text string) string { return strings.ToLower(norm.NFKC.String(text)) }

// SetPublicRoom stores what the directory has of a room.
func (tx *Tx) SetPublicRoom(p PublicRoom) error {
	return tx.run(`INSERT INTO public_rooms (room_id, room_type, text, summary) VALUES ($1, $2, $3, $4)
		ON CONFLICT (room_id) DO UPDATE SET room_type = excluded.room_type, text = excluded.text,
			summary = excluded.summary`, p.Room, p.Type, p.Text, string(p.Summary))
}

// DeletePublicRoom deletes what the directory has of a room.
func (tx *Tx) DeletePublicRoom(room matrix.RoomID) error {
	return tx.run(`DELETE FROM public_rooms WHERE room_id = $1`, room)
}

// InDirectory tells whether a room is in any list.
func (tx *Tx) InDirectory(room matrix.RoomID) (is bool, err error) {
	err = tx.one(`SELECT EXISTS (SELECT 1 FROM public_rooms WHERE room_id = $1)`, []any{room}, &is)
	return is, err
}

// AddToList puts a room into the list of a network; "" is the server's own.
func (tx *Tx) AddToList(network string, room matrix.RoomID) error {
	return tx.run(`INSERT INTO public_lists (room_id, network) VALUES ($1, $2)
		ON CONFLICT (room_id, network) DO NOTHING`, room, network)
}

// RemoveFromList takes a room out of the list of a network.
func (tx *Tx) RemoveFromList(network string, room matrix.RoomID) error {
	return tx.run(`DELETE FROM public_lists WHERE room_id = $1 AND network = $2`, room, network)
}

// ListsOf returns the networks in whose lists a room is.
func (tx *Tx) ListsOf(room matrix.RoomID) ([]string, error) {
	return all(tx, func(s scanner) (network string, err error) { return network, s.Scan(&network) },
		`SELECT network FROM public_lists WHERE room_id = $1 ORDER BY network`, room)
}

// MoveLists puts a room into all lists of another, which leaves them.
func (tx *Tx) MoveLists(from, to matrix.RoomID) error {
	return tx.run(`UPDATE public_lists SET room_id = $2 WHERE room_id = $1`, from, to)
}

// PublicQuery says which rooms of the directory are wanted.
type PublicQuery struct {
	Network     string
	AllNetworks bool
	// Text is in [Folded] form; "" for any.
	Text string
	// Types are room types; nil for any.
	Types []string
	// Joined and Room are where a page begins, which the room there is not on; Room
	// is "" for the beginning. With Back the page is what is before that.
	Joined int64
	Room   matrix.RoomID
	Back   bool
	Limit  int
}

var likeEscapes = strings.NewReplacer(`\`, `\\`, `%`, `\%`, `_`, `\_`)

// where is the condition on the parameters $1 to $5, and these.
func (q *PublicQuery) where(tx *Tx) (string, []any) {
	pattern := ""
	if q.Text != "" {
		pattern = "%" + likeEscapes.Replace(q.Text) + "%"
	}
	return `FROM public_rooms p JOIN rooms r ON r.room_id = p.room_id WHERE r.joined > 0
		AND ($1 OR EXISTS (SELECT 1 FROM public_lists l WHERE l.room_id = p.room_id AND l.network = $2))
		AND ($3 = '' OR p.text LIKE $3 ESCAPE '\') AND ($4 OR p.room_type ` + tx.in(5) + `)`,
		[]any{q.AllNetworks, q.Network, pattern, q.Types == nil, texts(tx, q.Types)}
}

// PublicRooms returns a page of the directory, rooms with more members first. With
// Back it begins with the last.
func (tx *Tx) PublicRooms(q PublicQuery) ([]PublicRoom, error) {
	where, args := q.where(tx)
	from, order := `r.joined < $7 OR r.joined = $7 AND p.room_id > $8`, `r.joined DESC, p.room_id`
	if q.Back {
		from, order = `r.joined > $7 OR r.joined = $7 AND p.room_id < $8`, `r.joined, p.room_id DESC`
	}
	return all(tx, func(s scanner) (p PublicRoom, err error) {
		return p, s.Scan(&p.Room, &p.Type, &p.Text, &p.Summary, &p.Joined)
	}, `SELECT p.room_id, p.room_type, p.text, p.summary, r.joined `+where+
		` AND ($6 OR `+from+`) ORDER BY `+order+` LIMIT $9`,
		append(args, q.Room == "", q.Joined, q.Room, q.Limit)...)
}

// CountPublicRooms counts the rooms of all pages.
func (tx *Tx) CountPublicRooms(q PublicQuery) (n int64, err error) {
	where, args := q.where(tx)
	err = tx.one(`SELECT COUNT(*) `+where, args, &n)
	return n, err
}
