package app

import (
	"lethe/internal/door"
	"lethe/internal/history"
	"lethe/internal/hub"
	"lethe/internal/identity"
	"lethe/internal/matrix"
	"lethe/internal/presence"
	"lethe/internal/push"
	"lethe/internal/room"
	"lethe/internal/state"
	"lethe/internal/storage"
	"lethe/internal/syncing"
)

// buildRooms makes what serves rooms.
func (s *Server) buildRooms(ids *identity.Client) {
	name := matrix.ServerName(s.settings.ServerName)
	trees := state.New()
	s.door = door.New(s.DB, trees, door.Options{
		ServerName: name, Now: s.opts.Now, Readers: s.settings.ErasureReaders, Servers: s.settings.ErasureServers,
	})
	if s.settings.Presence == "on" {
		s.presence = presence.New(s.DB, presence.Options{Now: s.opts.Now, Log: s.opts.Log, Ignored: s.door.Ignored})
	}
	s.unread = push.NewUnread(s.DB, s.door, trees,
		func(room matrix.RoomID, after, upTo int64) ([]*storage.Event, bool) {
			return s.Hub.Timeline(room, after, upTo)
		})
	s.Hub = hub.New(s.DB, func(changes []storage.Change) {
		s.door.Changed(changes)
		s.unread.Changed(changes)
		if s.presence != nil {
			s.presence.Changed(changes)
		}
	})
	s.History = history.New(s.DB, s.door, trees)
	s.Rooms = room.New(s.DB, trees, s.door, room.Options{
		ServerName: name, Key: s.key, Now: s.opts.Now, Log: s.opts.Log,
		Identity: ids, Jobs: s.Jobs, NoticesUser: s.settings.NoticesUser,
		MayAlias: func(alias matrix.RoomAlias, id string) bool { return s.appservices.MayAlias(alias, id) },
	})
	opts := syncing.Options{Unread: s.unread, Receipts: s.Rooms, Typing: s.Rooms}
	if s.presence != nil {
		opts.Presence = s.presence // and not an interface of nil
	}
	s.syncing = syncing.New(s.DB, s.Hub, s.door, trees, opts)
}
