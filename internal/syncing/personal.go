package syncing

import (
	"maps"

	"lethe/internal/matrix"
	"lethe/internal/push"
	"lethe/internal/storage"
)

// readAccountData reads what the user has stored, or the server for them, since
// the last answer. Everybody has push rules, also where nothing is stored.
func (b *builder) readAccountData() error {
	stored, err := b.tx.AccountDataAfter(b.r.User, b.r.Since)
	if err != nil {
		return err
	}
	global := &b.r.Filter.AccountData
	b.data = map[matrix.RoomID][]accountData{}
	rules := b.r.Since >= 0
	for _, d := range stored {
		switch {
		case d.RoomID != "":
			b.addRoomData(d)
			continue
		case d.Type == push.DataType:
			rules = true
			if d.Content, err = push.AccountData(b.r.User, d.Content); err != nil {
				return err
			}
		}
		if global.WantsType(d.Type) {
			b.a.AccountData.Events = append(b.a.AccountData.Events, accountData{d.Type, d.Content})
		}
	}
	if !rules && global.WantsType(push.DataType) {
		content, err := push.AccountData(b.r.User, nil)
		if err != nil {
			return err
		}
		b.a.AccountData.Events = append(b.a.AccountData.Events, accountData{push.DataType, content})
	}
	return nil
}

// readRoomData reads all that the user has stored for a room.
func (b *builder) readRoomData(room matrix.RoomID) error {
	stored, err := b.tx.RoomAccountData(b.r.User, room)
	delete(b.data, room)
	for _, d := range stored {
		b.addRoomData(d)
	}
	return err
}

func (b *builder) addRoomData(d storage.AccountData) {
	f, room := &b.r.Filter.Room.AccountData, matrix.RoomID(d.RoomID)
	if f.WantsType(d.Type) && f.WantsRoom(room) {
		b.data[room] = append(b.data[room], accountData{d.Type, d.Content})
	}
}

// isIn tells whether the reader is in a room.
func (b *builder) isIn(room matrix.RoomID) bool {
	m, err := b.tx.Membership(room, b.r.User)
	return err == nil && m.Membership == "join"
}

// readReceipts reads what was read in rooms.
func (b *builder) readReceipts(rooms []matrix.RoomID) error {
	if b.s.opts.Receipts == nil {
		return nil
	}
	b.receipts = map[matrix.RoomID][]ephemeral{}
	return b.ephemeral("m.receipt", rooms, func(rooms []matrix.RoomID, after int64) error {
		found, err := b.s.opts.Receipts.Receipts(b.tx, b.r.User, rooms, after, b.pos)
		for room, contents := range found {
			for _, content := range contents {
				b.receipts[room] = append(b.receipts[room], ephemeral{"m.receipt", content})
			}
		}
		return err
	})
}

// readTyping reads who is typing in rooms.
func (b *builder) readTyping(rooms []matrix.RoomID) error {
	if b.s.opts.Typing == nil {
		return nil
	}
	b.typing = map[matrix.RoomID][]matrix.UserID{}
	return b.ephemeral("m.typing", rooms, func(rooms []matrix.RoomID, after int64) error {
		found, err := b.s.opts.Typing.Typing(b.tx, b.r.User, rooms, after, b.pos)
		maps.Copy(b.typing, found)
		return err
	})
}

// ephemeral reads something of those of the rooms from which the filter wants it:
// where the client knows something already what is after that, of others all
// there is.
func (b *builder) ephemeral(typ string, rooms []matrix.RoomID, read func([]matrix.RoomID, int64) error) error {
	f := &b.r.Filter.Room.Ephemeral
	if !f.WantsType(typ) {
		return nil
	}
	isFresh := map[matrix.RoomID]bool{}
	for _, v := range b.rooms {
		isFresh[v.room] = v.fresh
	}
	var known, fresh []matrix.RoomID
	for _, id := range rooms {
		switch {
		case !f.WantsRoom(id) || !b.r.Filter.Room.Wants(id):
		case isFresh[id]:
			fresh = append(fresh, id)
		default:
			known = append(known, id)
		}
	}
	if len(known) > 0 {
		if err := read(known, b.r.Since); err != nil {
			return err
		}
	}
	if len(fresh) > 0 {
		return read(fresh, -1)
	}
	return nil
}

// readPresence reads who has come or gone.
func (b *builder) readPresence(changed bool) error {
	f := &b.r.Filter.Presence
	if b.s.opts.Presence == nil || !changed || f.WantsNothing() || !f.WantsType("m.presence") {
		return nil
	}
	events, err := b.s.opts.Presence.Presence(b.tx, b.r.User, b.r.Since, b.pos)
	for _, e := range events {
		if f.WantsSender(e.Sender) {
			b.a.Presence.Events = append(b.a.Presence.Events, e)
		}
	}
	return err
}

// readDevices reads what is for the device. It is not the filter's to leave it
// out.
func (b *builder) readDevices() error {
	if b.s.opts.Devices == nil || b.r.Device == "" {
		return nil
	}
	n, err := b.s.opts.Devices.Devices(b.tx, b.r.User, b.r.Device, b.r.Since, b.pos)
	if err != nil {
		return err
	}
	b.a.ToDevice.Events = n.Messages
	if b.r.Since >= 0 && len(n.Changed)+len(n.Left) > 0 {
		b.a.DeviceLists = &deviceLists{n.Changed, n.Left}
	}
	if n.OneTimeKeys != nil {
		b.a.OneTimeKeys = n.OneTimeKeys
	}
	if n.FallbackKeys != nil {
		b.a.Fallback = n.FallbackKeys
	}
	return nil
}
