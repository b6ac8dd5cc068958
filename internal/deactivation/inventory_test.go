package deactivation_test

import (
	"archive/zip"
	"bytes"
	"errors"
	"io"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/google/go-cmp/cmp"

	"lethe/internal/deactivation"
	"lethe/internal/event"
	"lethe/internal/hstest"
	"lethe/internal/matrix"
	"lethe/internal/storage"
	"lethe/internal/storage/storagetest"
)

// planted is in every value of a person that a test stores.
const planted = "pl4nted"

// fillers store a row of user in each table of people, with plant in all of its
// text. idServer answers to unbind.
var fillers = map[string]func(tx *storage.Tx, user matrix.UserID, plant, idServer string) error{
	"accounts": func(tx *storage.Tx, user matrix.UserID, plant, _ string) error {
		return tx.SetPasswordHash(user, plant)
	},
	"devices": func(tx *storage.Tx, user matrix.UserID, plant, _ string) error {
		// With its last address, from the address log.
		err := tx.EnsureDevice(storage.Device{UserID: user, DeviceID: plant, DisplayName: plant, CreatedAt: 1})
		return errors.Join(err, tx.Seen(storage.Connection{UserID: user, DeviceID: plant, IP: plant, LastSeenAt: 1}))
	},
	"access_tokens": func(tx *storage.Tx, user matrix.UserID, plant, _ string) error {
		err := tx.EnsureDevice(storage.Device{UserID: user, DeviceID: plant, CreatedAt: 1})
		return errors.Join(err, tx.CreateAccessToken(storage.AccessToken{
			Hash: hash(plant), UserID: user, DeviceID: plant, CreatedAt: 1, Retires: []byte(plant),
		}))
	},
	"refresh_tokens": func(tx *storage.Tx, user matrix.UserID, plant, _ string) error {
		err := tx.EnsureDevice(storage.Device{UserID: user, DeviceID: plant, CreatedAt: 1})
		return errors.Join(err, tx.CreateRefreshToken(storage.RefreshToken{
			Hash: hash(plant), UserID: user, DeviceID: plant, CreatedAt: 1, AccessHash: []byte(plant),
		}), tx.SetSuccessor(hash(plant), hash(plant+" next")))
	},
	"login_tokens": func(tx *storage.Tx, user matrix.UserID, plant, _ string) error {
		return tx.CreateLoginToken(hash(plant), user, 1<<50)
	},
	"openid_tokens": func(tx *storage.Tx, user matrix.UserID, plant, _ string) error {
		return tx.CreateOpenIDToken(hash(plant), user, 1<<50)
	},
	"uia_sessions": func(tx *storage.Tx, user matrix.UserID, plant, _ string) error {
		v := storage.UIASession{
			Hash: hash(plant), Endpoint: plant, Subject: user, DeviceID: plant, RegistrationToken: plant,
			Completed: []byte(`{"x":"` + plant + `"}`), Stored: []byte(`{"x":"` + plant + `"}`),
			Offer: []byte(`{"x":"` + plant + `"}`), CreatedAt: 1, ExpiresAt: 1 << 50,
		}
		if err := tx.PutUIASession(v); err != nil {
			return err
		}
		v.Hash, v.Subject, v.UserID = hash(plant+" two"), "", user
		return tx.PutUIASession(v)
	},
	"validation_sessions": func(tx *storage.Tx, user matrix.UserID, plant, _ string) error {
		v := storage.Validation{
			SID: plant, Purpose: storage.ForAdd, UserID: user, Threepid: email(plant), ClientSecret: hash(plant),
			Token: hash(plant), NextLink: plant, CreatedAt: 1, ExpiresAt: 1 << 50,
		}
		if err := tx.PutValidation(v); err != nil {
			return err
		}
		// For the address of the account, begun by nobody known.
		v.SID, v.UserID, v.Threepid = plant+" two", "", email(planted+"-threepids")
		return tx.PutValidation(v)
	},
	"threepids": func(tx *storage.Tx, user matrix.UserID, plant, _ string) error {
		return tx.AddThreepid(storage.ThreepidRow{Threepid: email(plant), UserID: user, ValidatedAt: 1, AddedAt: 1})
	},
	"threepid_bindings": func(tx *storage.Tx, user matrix.UserID, plant, idServer string) error {
		return tx.PutBinding(storage.Binding{
			Threepid: email(plant), UserID: user, IDServer: matrix.ServerName(idServer), BoundAt: 1, SettledAt: 1,
		})
	},
	"connections": func(tx *storage.Tx, user matrix.UserID, plant, _ string) error {
		err := tx.EnsureDevice(storage.Device{UserID: user, DeviceID: plant, CreatedAt: 1})
		return errors.Join(err, tx.Seen(storage.Connection{
			UserID: user, DeviceID: plant, IP: plant, UserAgent: plant, LastSeenAt: matrix.Timestamp(1 << 50),
		}))
	},
	"account_data": func(tx *storage.Tx, user matrix.UserID, plant, _ string) error {
		return tx.SetAccountData(user, storage.AccountData{
			RoomID: plant, Type: plant, Content: []byte(`{"x":"` + plant + `"}`),
		}, 1)
	},
	"filters": func(tx *storage.Tx, user matrix.UserID, plant, _ string) error {
		return tx.CreateFilter(user, plant, []byte(`{"x":"`+plant+`"}`))
	},
	"receipts": func(tx *storage.Tx, user matrix.UserID, plant, _ string) error {
		return tx.PutReceipt(storage.Receipt{
			Room: matrix.RoomID(plant), User: user, Type: plant, Thread: plant, EventID: plant, EventPos: 1, Timestamp: 1, Pos: 1,
		})
	},
	"typing": func(tx *storage.Tx, user matrix.UserID, plant, _ string) error {
		_, err := tx.StartTyping(matrix.RoomID(plant), user, 1<<50)
		return err
	},
	"presence": func(tx *storage.Tx, user matrix.UserID, plant, _ string) error {
		return tx.PutPresence(storage.Presence{User: user, State: "offline", Status: plant, ActiveAt: 1, Pos: 1})
	},
	"reports": func(tx *storage.Tx, user matrix.UserID, plant, _ string) error {
		return tx.AddReport(storage.Report{
			CreatedAt: 1, Reporter: user, Room: matrix.RoomID(plant), EventID: plant, User: matrix.UserID(plant), Reason: plant,
		})
	},
	"notice_rooms": func(tx *storage.Tx, user matrix.UserID, plant, _ string) error {
		_, err := tx.AddNoticeRoom(user, matrix.RoomID(plant))
		return err
	},
	"profile_changes": func(tx *storage.Tx, user matrix.UserID, plant, _ string) error {
		err := tx.AddProfileChange(user)
		if err != nil {
			return err
		}
		_, err = tx.MoveProfileChange(user, storage.ProfileChange{Seq: 1, Room: matrix.RoomID(plant)})
		return err
	},
	"alias_creators": func(tx *storage.Tx, user matrix.UserID, plant, _ string) error {
		return tx.SetAliasCreator(matrix.RoomAlias(plant+string(user)), user)
	},
	"events": func(tx *storage.Tx, user matrix.UserID, plant, _ string) error {
		return plantEvent(tx, user, plant)
	},
	"transactions": func(tx *storage.Tx, user matrix.UserID, plant, _ string) error {
		return tx.AddTransaction(storage.Transaction{User: user, Device: plant, Scope: plant, TxnID: plant}, plant, 1)
	},
	"profile_fields": func(tx *storage.Tx, user matrix.UserID, plant, _ string) error {
		return tx.SetProfileField(user, plant, []byte(`"`+plant+`"`))
	},
	"terms_accepted": func(tx *storage.Tx, user matrix.UserID, plant, _ string) error {
		return tx.AcceptTerms(user, plant, plant, 1)
	},
}

// plantEvent stores a message in a room that nobody is in.
func plantEvent(tx *storage.Tx, user matrix.UserID, plant string) error {
	v, _ := event.VersionOf("11")
	room := storage.Room{ID: matrix.RoomID("!filled-" + user.Localpart() + ":example.org"), Version: v.ID, CreatedAt: 1}
	e, err := event.Build(v, event.Proto{
		RoomID: room.ID, Type: "m.room.message", Sender: user, Depth: 1, Timestamp: 1,
		Content: []byte(`{"msgtype":"m.text","body":"` + plant + `"}`),
	}, hstest.ServerName, event.NewSigningKey())
	if err != nil {
		return err
	}
	pos, err := tx.NextPos(storage.Change{Kind: storage.ChangeEvent, Room: room.ID, User: user})
	stored := &storage.Event{Event: e, Pos: pos}
	return errors.Join(err, tx.AddRoom(room), tx.AddEvent(stored), tx.AddSearch(stored))
}

func hash(s string) (h storage.Hash) {
	copy(h[:], s)
	return h
}

func email(name string) matrix.Threepid {
	return matrix.Threepid{Medium: matrix.MediumEmail, Address: name + "@example.org"}
}

// tablesOfPeople are the tables of the inventory that have something which goes
// with an account.
func tablesOfPeople() (tables []string) {
	for _, it := range deactivation.Inventory {
		if it.Goes == deactivation.AtEnding || it.Goes == deactivation.AtErasure {
			tables = append(tables, it.Table)
		}
	}
	slices.Sort(tables)
	return slices.Compact(tables)
}

// fill makes an account that has something in every table of people, its own
// name in each.
func fill(t *testing.T, s *hstest.Server, name string, ids *hstest.IdentityServer) matrix.UserID {
	t.Helper()
	user := matrix.UserID(s.Register(name).UserID)
	update(t, s.DB, func(tx *storage.Tx) error {
		for _, table := range tablesOfPeople() {
			store := fillers[table]
			if store == nil {
				t.Errorf("the test does not know how to fill %s, a table of people", table)
				continue
			}
			if err := store(tx, user, planted+"-"+table, ids.Name); err != nil {
				return err
			}
		}
		return nil
	})
	return user
}

func TestTheInventoryHasEveryColumnAndNoOther(t *testing.T) {
	storagetest.Each(t, func(t *testing.T, db *storage.DB) {
		live, err := db.Columns(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		var listed []string
		for _, it := range deactivation.Inventory {
			for _, column := range it.Columns {
				listed = append(listed, it.Table+"."+column)
			}
		}
		slices.Sort(live)
		slices.Sort(listed)
		if diff := cmp.Diff(live, listed); diff != "" {
			t.Errorf("the schema has (-), the inventory has (+):\n%s", diff)
		}
	})
}

func TestTheInventorySaysWhatItHasTo(t *testing.T) {
	for _, it := range deactivation.Inventory {
		switch {
		case it.Purpose == "":
			t.Errorf("%s %v has no purpose", it.Table, it.Columns)
		case (it.Export == "") == (it.NotExported == ""):
			t.Errorf("%s %v: it is in a file of the export, or it says why not", it.Table, it.Columns)
		case it.Why == "" && (it.Goes == deactivation.Never || it.Goes == deactivation.WithTime):
			t.Errorf("%s %v goes %s, and does not say why or when", it.Table, it.Columns, it.Goes)
		case it.Category == "" && (it.Goes == deactivation.AtEnding || it.Goes == deactivation.AtErasure):
			t.Errorf("%s %v goes %s, and is not counted", it.Table, it.Columns, it.Goes)
		case it.Goes == deactivation.NotAtAll && it.Owner != "":
			t.Errorf("%s %v says whose it is, and that it says nothing about a person", it.Table, it.Columns)
		}
	}
}

func TestEveryTableOfPeopleIsCountedAndDeleted(t *testing.T) {
	storagetest.Each(t, func(t *testing.T, db *storage.DB) {
		for _, table := range tablesOfPeople() {
			if table == "accounts" || table == "events" { // their rows stay
				continue
			}
			update(t, db, func(tx *storage.Tx) error {
				if _, err := tx.CountPersonal(table, "@nobody:example.org"); err != nil {
					t.Errorf("count %s: %v", table, err)
				}
				if _, err := tx.DeletePersonal(table, "@nobody:example.org", 1); err != nil {
					t.Errorf("delete %s: %v", table, err)
				}
				return nil
			})
		}
	})
}

// TestTheExportHasWhatTheInventorySays: each file that the inventory names is
// there, with what was planted in the tables that it stands for.
func TestTheExportHasWhatTheInventorySays(t *testing.T) {
	ids := hstest.NewIdentityServer(t)
	hstest.Each(t, func(t *testing.T, s *hstest.Server) {
		user := fill(t, s, "alice", ids)
		files := export(t, s, user)
		for _, it := range deactivation.Inventory {
			if it.Export == "" {
				continue
			}
			content, ok := files[it.Export]
			if !ok {
				t.Errorf("the export has no file %s", it.Export)
			}
			if it.Goes == deactivation.Never {
				continue // what is in those is not planted
			}
			if !strings.Contains(content, planted+"-"+it.Table) {
				t.Errorf("%s has nothing of %s: %s", it.Export, it.Table, content)
			}
		}
		if !strings.Contains(files["account.json"], string(user)) || !strings.Contains(files["inventory.json"], "account_data") {
			t.Errorf("account.json is %s, inventory.json %s", files["account.json"], files["inventory.json"])
		}
		for _, secret := range []string{planted + "-access_tokens", planted + "-accounts"} {
			for _, name := range []string{"account.json", "inventory.json", "audit.json"} {
				if strings.Contains(files[name], secret) {
					t.Errorf("%s has the secret %s", name, secret)
				}
			}
		}
	}, hstest.Trust(t, ids))
}

// export is the files of an account's export.
func export(t *testing.T, s *hstest.Server, user matrix.UserID) map[string]string {
	t.Helper()
	var buf bytes.Buffer
	if err := s.Deactivations.Export(t.Context(), user, &buf); err != nil {
		t.Fatal(err)
	}
	archive, err := zip.NewReader(bytes.NewReader(buf.Bytes()), int64(buf.Len()))
	if err != nil {
		t.Fatal(err)
	}
	files := map[string]string{}
	for _, f := range archive.File {
		r, err := f.Open()
		if err != nil {
			t.Fatal(err)
		}
		raw, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		lines := [][]byte{raw}
		if strings.HasSuffix(f.Name, ".jsonl") {
			lines = bytes.Split(bytes.TrimSpace(raw), []byte("\n"))
		}
		for _, line := range lines {
			var v any
			if err := json.Unmarshal(line, &v); err != nil && len(line) > 0 {
				t.Errorf("%s has something that is not JSON: %v", f.Name, err)
			}
		}
		if age := time.Since(f.Modified); age > time.Hour {
			t.Errorf("%s is dated %s", f.Name, f.Modified)
		}
		files[f.Name] = string(raw)
	}
	return files
}

// TestErasureLeavesNothing looks for what was planted in every column of the
// live schema, and in the bytes of the files: before the ending it is there,
// after it is not. Without erasure it is where the inventory says.
func TestErasureLeavesNothing(t *testing.T) {
	ids := hstest.NewIdentityServer(t)
	for _, erase := range []bool{true, false} {
		t.Run(map[bool]string{true: "erase", false: "keep"}[erase], func(t *testing.T) {
			hstest.Each(t, func(t *testing.T, s *hstest.Server) {
				user := fill(t, s, "alice", ids)
				s.Stop()
				if found := search(t, s); len(found) == 0 {
					t.Fatal("nothing is found of what was planted: the search is no good")
				}
				s.Start()
				_, err := s.Deactivations.Deactivate(t.Context(), deactivation.Request{
					User: user, Erase: erase, By: deactivation.Operator,
				})
				if err != nil {
					t.Fatal(err)
				}
				s.Eventually("the ending is done", func() bool {
					return endingsOf(t, s, string(user))[0].State == storage.Done
				})
				s.Stop()
				for _, column := range search(t, s) {
					if erase || !staysWithoutErasure(column) {
						t.Errorf("something is left in %s", column)
					}
				}
			}, hstest.Trust(t, ids))
		})
	}
}

func staysWithoutErasure(column string) bool {
	if strings.HasPrefix(column, "file ") {
		return true // which row it is from, its bytes do not say
	}
	table, _, _ := strings.Cut(column, ".")
	if table == "search_words" {
		table = "events" // whose words they are
	}
	return slices.ContainsFunc(deactivation.Inventory, func(it deactivation.Item) bool {
		return it.Table == table && it.Goes == deactivation.AtErasure
	})
}

// search names where in the database of a stopped server something planted is:
// columns on PostgreSQL, files on SQLite.
func search(t *testing.T, s *hstest.Server) (found []string) {
	t.Helper()
	url := string(s.Settings().Database)
	path, ok := strings.CutPrefix(url, "sqlite:")
	if !ok {
		return storagetest.Find(t, url, planted)
	}
	for _, name := range []string{path, path + "-wal", path + "-journal"} {
		raw, err := os.ReadFile(name)
		if err != nil && !os.IsNotExist(err) {
			t.Fatal(err)
		}
		if bytes.Contains(raw, []byte(planted)) {
			found = append(found, "file "+name)
		}
	}
	return found
}

// The page of the documentation has the inventory as `lethe privacy inventory
// --markdown` prints it.
func TestTheDocumentationHasTheInventory(t *testing.T) {
	var want bytes.Buffer
	if err := deactivation.WriteMarkdown(&want); err != nil {
		t.Fatal(err)
	}
	page, err := os.ReadFile("../../docs/deactivation.md")
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Contains(page, want.Bytes()) {
		t.Errorf("docs/deactivation.md does not have the inventory as it is: replace its table by the output of `lethe privacy inventory --markdown`:\n%s", &want)
	}
}
