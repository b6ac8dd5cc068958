package door_test

import (
	"testing"

	"lethe/internal/door"
	"lethe/internal/door/doortest"
	"lethe/internal/matrix"
	"lethe/internal/storage"
	"lethe/internal/storage/storagetest"
)

func TestHistoryIsSeenByTheVisibilityAtEachEvent(t *testing.T) {
	storagetest.Each(t, func(t *testing.T, db *storage.DB) {
		tell(t, doortest.New(t, db, nil), []story{
			{"shared is for members, also from before", "a +join b +leave c", "a +join b +leave"},
			{"nothing for those who never joined", "a b", ""},
			{"nor for the invited", "a +invite b", ""},
			{"nor for those who knock", "a +knock b", ""},
			{"a refused invite is over", "a +invite b +leave c", "+leave"},
			{"a withdrawn invite is over", "a +invite b +kick c", "+kick"},
			{"a refused knock is over", "a +knock b +ban c", "+ban"},
			{"who comes back sees all that is shared", "a +join b +leave c +join d", "a +join b +leave c +join d"},
			{"who is asked back sees up to their leave", "a +join b +leave c +invite d", "a +join b +leave"},
			{"banned", "a +join b +ban c", "a +join b +ban"},
			{"kicked", "a +join b +kick c", "a +join b +kick"},
			{"unbanned is not back", "a +join b +ban c +unban d", "a +join b +ban"},
			{"joined is for the time as a member", "@joined a +join b +leave c +join d +leave e", "@joined +join b +leave +join d +leave"},
			{"joined: kicked", "@joined a +join b +kick c", "@joined +join b +kick"},
			{"joined: banned while invited", "@joined a +invite b +ban c", "+ban"},
			{"joined: not the time of the invite", "@joined +invite a +join b", "@joined +join b"},
			{"joined: not the time of the knock", "@joined +knock a +join b", "@joined +join b"},
			{"joined: another name is no gap", "@joined +join a +join b", "@joined +join a +join b"},
			{"invited is from the invite", "@invited a +invite b +join c", "@invited +invite b +join c"},
			{"invited: an earlier invite counts too", "@invited a +invite b +leave c +join d", "@invited +invite b +leave +join d"},
			{"invited: not for those invited after they left", "@invited +join a +leave b +invite c", "@invited +join a +leave"},
			{"invited: not the time of a knock", "@invited a +knock b +join c", "@invited +join c"},
			{"world_readable is for everybody", "@world_readable a b", "@world_readable a b"},
			{"world_readable is for the invited", "@world_readable a +invite b", "@world_readable a +invite b"},
			{"world_readable is for those who left", "a @world_readable +join b +leave c @shared d", "a @world_readable +join b +leave c @shared"},
			{"world_readable is for the banned", "@world_readable +join a +ban b", "@world_readable +join a +ban b"},
			{"what ends world_readable is seen, and nothing after", "@world_readable a @joined b", "@world_readable a @joined"},
			{"what begins world_readable is seen, and nothing before", "a @world_readable b", "@world_readable b"},
			{"each event by what held then", "a @joined b @shared c @invited d +join e", "a @joined @shared c @invited +join e"},
			{"not understood is shared", "@nonsense a +join b", "@nonsense a +join b"},
		})
	})
}

// look is what a visit says of the room to a reader.
func look(t *testing.T, s *stage, who door.Reader) (until int64, membership string, err error) {
	t.Helper()
	s.Enter(who, s.ID, func(v *door.Visit) error {
		until, membership, err = v.Until(), v.Membership(), v.CanLook()
		return nil
	})
	return until, membership, err
}

func TestWhoMayLookAtARoom(t *testing.T) {
	const free = 1<<63 - 1
	storagetest.Each(t, func(t *testing.T, db *storage.DB) {
		h := doortest.New(t, db, nil)
		for _, tc := range []struct {
			name, told string
			code       matrix.Code
			membership string
			ends       string // the word of the event where the view ends, "" for nowhere
		}{
			{"a stranger", "a", matrix.CodeForbidden, "", ""},
			{"a member", "+join", "", "join", ""},
			{"the invited", "+invite", matrix.CodeForbidden, "invite", ""},
			{"who has left", "+join a +leave b", "", "leave", "+leave"},
			{"who was banned after that", "+join a +leave b +ban", "", "ban", "+leave"},
			{"who was asked back", "+join a +leave b +invite", "", "invite", "+leave"},
			{"the banned who never joined", "+ban", matrix.CodeForbidden, "ban", ""},
			{"anybody", "@world_readable", "", "", ""},
			{"anybody, while it is so", "@world_readable @shared", matrix.CodeForbidden, "", ""},
		} {
			t.Run(tc.name, func(t *testing.T) {
				h.T = t
				s := newStage(h, "11")
				s.tell(tc.told)
				want := int64(free)
				for _, e := range s.Timeline() {
					if tc.ends != "" && s.words[e.ID()] == tc.ends {
						want = e.Pos
					}
				}
				until, membership, err := look(t, s, door.Reader{User: s.vera})
				if matrix.CodeOf(err) != tc.code || until != want || membership != tc.membership {
					t.Errorf("%s: %v, until %d as %q; want %q, %d, %q", tc.told, err, until, membership, tc.code, want, tc.membership)
				}
			})
		}
	})
}

func TestWhoForgetsARoomIsAStranger(t *testing.T) {
	storagetest.Each(t, func(t *testing.T, db *storage.DB) {
		s := newStage(doortest.New(t, db, nil), "11")
		s.tell("+join a +leave")
		vera := door.Reader{User: s.vera}
		if _, _, err := look(t, s, vera); err != nil {
			t.Fatalf("who has left may not look: %v", err)
		}
		s.Update(func(tx *storage.Tx) error {
			if _, err := tx.NextPos(storage.Change{Kind: storage.ChangePrivate, Room: s.ID, User: s.vera}); err != nil {
				return err
			}
			_, err := tx.Forget(s.ID, s.vera)
			return err
		})
		if _, _, err := look(t, s, vera); matrix.CodeOf(err) != matrix.CodeForbidden {
			t.Errorf("who has forgotten the room: %v", err)
		}
	})
}

func TestARoomThatIsNotThereLooksLikeOneThatIsClosed(t *testing.T) {
	storagetest.Each(t, func(t *testing.T, db *storage.DB) {
		h := doortest.New(t, db, nil)
		h.Enter(door.Reader{User: "@v:x"}, "!none:x", func(v *door.Visit) error {
			if err := v.CanLook(); matrix.CodeOf(err) != matrix.CodeForbidden {
				t.Errorf("got %v", err)
			}
			return nil
		})
	})
}

func TestOnlyTheTimelineOfTheRoomIsSeen(t *testing.T) {
	storagetest.Each(t, func(t *testing.T, db *storage.DB) {
		h := doortest.New(t, db, nil)
		s, other := newStage(h, "11"), newStage(h, "12")
		s.tell("+join a")
		e := s.Timeline()[4]
		for _, kind := range []storage.EventKind{storage.InTimeline, storage.SoftFailed, storage.Rejected, storage.Outlier} {
			as := *e
			as.Kind = kind
			s.Visit(s.vera, func(v *door.Visit) error {
				sees, err := v.Sees(&as)
				if sees != (kind == storage.InTimeline) {
					t.Errorf("an event of kind %d is seen: %v", kind, sees)
				}
				return err
			})
		}
		other.Visit(creator, func(v *door.Visit) error {
			served, err := v.Serve(s.Timeline(), door.Format{})
			if len(served) != 0 {
				t.Errorf("a visit of one room serves %d events of another", len(served))
			}
			return err
		})
	})
}

func TestWithoutTheStateBeforeItAnEventIsNotSeen(t *testing.T) {
	storagetest.Each(t, func(t *testing.T, db *storage.DB) {
		s := newStage(doortest.New(t, db, nil), "11")
		s.tell("+join a")
		lost := *s.Timeline()[4]
		lost.State = [16]byte{}
		s.Visit(s.vera, func(v *door.Visit) error {
			if sees, err := v.Sees(&lost); sees || err != nil {
				t.Errorf("seen: %v, %v", sees, err)
			}
			return nil
		})
	})
}

func TestAServerSeesWhatItsMembersMay(t *testing.T) {
	storagetest.Each(t, func(t *testing.T, db *storage.DB) {
		s := newStage(doortest.New(t, db, nil), "11")
		s.tell("a @joined b")
		s.Member(creator, "@far:elsewhere", "invite")
		s.tell("c @invited d")
		s.Join("@far:elsewhere")
		s.tell("e @joined f")
		for server, want := range map[matrix.ServerName]string{
			"elsewhere": "a @joined @invited d e @joined f",
			"nowhere":   "a @joined",
		} {
			if got := s.seen(door.Reader{Server: server}); got != want {
				t.Errorf("%s sees %q, want %q", server, got, want)
			}
		}
	})
}
