package deactivation

import (
	"archive/zip"
	"context"
	"errors"
	"io"
	"math"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"lethe/internal/matrix"
	"lethe/internal/push"
	"lethe/internal/storage"
)

// exportFile is one file of an export: what it is called and what it holds.
type exportFile struct {
	name string
	make func(tx *storage.Tx, a storage.Account) (any, error)
}

// object is a JSON object of an export.
type object = map[string]any

// exportFiles has a file for each that the inventory names.
var exportFiles = []exportFile{
	{"account.json", exportAccount},
	{"profile.json", exportProfile},
	{"devices.json", exportDevices},
	{"connections.json", exportConnections},
	{"threepids.json", exportThreepids},
	{"account_data.json", exportAccountData},
	{"filters.json", exportFilters},
	{"receipts.json", exportReceipts},
	{"rooms.json", exportRooms},
	{"aliases.json", exportAliases},
	{"presence.json", exportPresence},
	{"reports.json", exportReports},
	{"terms.json", func(tx *storage.Tx, a storage.Account) (any, error) { return tx.TermsOf(a.UserID) }},
	{"deactivations.json", exportDeactivations},
	{"audit.json", exportAudit},
}

// Export writes a zip of everything the inventory calls personal and does not
// except, in the shapes of the client-server API where it has one (GDPR Art. 15
// and 20). The inventory itself is in it, as inventory.json.
func (s *Service) Export(ctx context.Context, user matrix.UserID, w io.Writer) error {
	a, err := s.accounts.Account(ctx, user)
	if err != nil {
		return err
	}
	// Nothing is written inside the transaction: whoever reads slowly would keep
	// it open.
	contents := make([]any, len(exportFiles))
	err = s.db.View(ctx, func(tx *storage.Tx) (err error) {
		for i, f := range exportFiles {
			if contents[i], err = f.make(tx, a); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	archive := zip.NewWriter(w)
	for i, f := range exportFiles {
		if err := s.writeJSON(archive, f.name, contents[i]); err != nil {
			return err
		}
	}
	if err := s.writeEvents(ctx, archive, user); err != nil {
		return err
	}
	if err := s.writeJSON(archive, "inventory.json", Inventory); err != nil {
		return err
	}
	return archive.Close()
}

func (s *Service) create(archive *zip.Writer, name string) (io.Writer, error) {
	return archive.CreateHeader(&zip.FileHeader{Name: name, Method: zip.Deflate, Modified: s.opts.Now()})
}

func (s *Service) writeJSON(archive *zip.Writer, name string, content any) error {
	w, err := s.create(archive, name)
	if err != nil {
		return err
	}
	return json.MarshalWrite(w, content, jsontext.WithIndent("  "), json.Deterministic(true))
}

func exportAccount(_ *storage.Tx, a storage.Account) (any, error) {
	return object{
		"user_id": a.UserID, "kind": a.Kind, "appservice_id": a.AppserviceID, "admin": a.Admin,
		"created_ts": a.CreatedAt, "locked_ts": a.LockedAt, "suspended_ts": a.SuspendedAt,
		"deactivated_ts": a.DeactivatedAt, "erased_pos": a.ErasedPos,
	}, nil
}

func named(list []storage.Named) map[string]jsontext.Value {
	values := make(map[string]jsontext.Value, len(list))
	for _, n := range list {
		values[n.Name] = n.Value
	}
	return values
}

func exportProfile(tx *storage.Tx, a storage.Account) (any, error) {
	fields, err := tx.Profile(a.UserID)
	return named(fields), err
}

func exportFilters(tx *storage.Tx, a storage.Account) (any, error) {
	filters, err := tx.Filters(a.UserID)
	return named(filters), err
}

func exportReceipts(tx *storage.Tx, a storage.Account) (any, error) {
	receipts, err := tx.AllReceipts(a.UserID)
	list := make([]object, 0, len(receipts))
	for _, r := range receipts {
		list = append(list, object{
			"room_id": r.Room, "type": r.Type, "thread_id": r.Thread, "event_id": r.EventID, "ts": r.Timestamp,
		})
	}
	return object{"receipts": list}, err
}

func exportPresence(tx *storage.Tx, a storage.Account) (any, error) {
	p, err := tx.Presence(a.UserID)
	if errors.Is(err, storage.ErrNotFound) {
		return object{}, nil
	}
	return object{"presence": p.State, "status_msg": p.Status, "last_active_ts": p.ActiveAt}, err
}

func exportReports(tx *storage.Tx, a storage.Account) (any, error) {
	reports, err := tx.ReportsBy(a.UserID)
	list := make([]object, 0, len(reports))
	for _, r := range reports {
		list = append(list, object{
			"created_ts": r.CreatedAt, "room_id": r.Room, "event_id": r.EventID, "user_id": r.User, "reason": r.Reason,
		})
	}
	return object{"reports": list}, err
}

func exportAliases(tx *storage.Tx, a storage.Account) (any, error) {
	aliases, err := tx.AliasesBy(a.UserID)
	if aliases == nil {
		aliases = []matrix.RoomAlias{}
	}
	return object{"aliases": aliases}, err
}

// exportPage is how many events of an export are in memory at a time.
const exportPage = 500

// writeEvents writes what the person has sent, one event a line, as others get
// them (CS API, Room event format). There may be many: they are read by pages, and
// written between transactions.
func (s *Service) writeEvents(ctx context.Context, archive *zip.Writer, user matrix.UserID) error {
	w, err := s.create(archive, "events.jsonl")
	if err != nil {
		return err
	}
	out := jsontext.NewEncoder(w)
	room, pos := matrix.RoomID(""), int64(math.MinInt64)
	for {
		var page []*storage.Event
		err := s.db.View(ctx, func(tx *storage.Tx) (err error) {
			page, err = tx.EventsOf(user, room, pos, exportPage)
			return err
		})
		if err != nil {
			return err
		}
		for _, e := range page {
			room, pos = e.RoomID(), e.Pos
			line := object{
				"event_id": e.ID(), "room_id": e.RoomID(), "sender": e.Sender(), "type": e.Type(),
				"origin_server_ts": e.Timestamp(), "content": e.Content(),
			}
			if key, ok := e.StateKey(); ok {
				line["state_key"] = key
			}
			if err := json.MarshalEncode(out, line, json.Deterministic(true)); err != nil {
				return err
			}
		}
		if len(page) < exportPage {
			return nil
		}
	}
}

func exportRooms(tx *storage.Tx, a storage.Account) (any, error) {
	memberships, err := tx.AllMembershipsOf(a.UserID)
	list := make([]object, 0, len(memberships))
	for _, m := range memberships {
		list = append(list, object{
			"room_id": m.Room, "membership": m.Membership, "sender": m.Sender, "event_id": m.EventID, "forgotten": m.Forgotten,
		})
	}
	return object{"rooms": list}, err
}

func exportDevices(tx *storage.Tx, a storage.Account) (any, error) {
	devices, err := tx.Devices(a.UserID)
	list := make([]object, 0, len(devices))
	for _, d := range devices {
		list = append(list, object{
			"device_id": d.DeviceID, "display_name": d.DisplayName, "last_seen_ip": d.LastSeenIP,
			"last_seen_ts": d.LastSeenAt, "created_ts": d.CreatedAt,
		})
	}
	return object{"devices": list}, err
}

func exportConnections(tx *storage.Tx, a storage.Account) (any, error) {
	connections, err := tx.Connections(a.UserID)
	list := make([]object, 0, len(connections))
	for _, c := range connections {
		list = append(list, object{
			"device_id": c.DeviceID, "ip": c.IP, "user_agent": c.UserAgent, "last_seen": c.LastSeenAt,
		})
	}
	return object{"connections": list}, err
}

func exportThreepids(tx *storage.Tx, a storage.Account) (any, error) {
	threepids, err := tx.Threepids(a.UserID)
	if err != nil {
		return nil, err
	}
	list := make([]object, 0, len(threepids))
	for _, t := range threepids {
		list = append(list, object{
			"medium": t.Medium, "address": t.Address, "validated_at": t.ValidatedAt, "added_at": t.AddedAt,
		})
	}
	bindings, err := tx.Bindings(a.UserID)
	bound := make([]object, 0, len(bindings))
	for _, b := range bindings {
		bound = append(bound, object{
			"medium": b.Medium, "address": b.Address, "id_server": b.IDServer, "bound_at": b.BoundAt, "settled_at": b.SettledAt,
		})
	}
	return object{"threepids": list, "bindings": bound}, err
}

// exportAccountData has the shape of account_data in /sync, with the rooms'
// beside it.
func exportAccountData(tx *storage.Tx, a storage.Account) (any, error) {
	data, err := tx.AllAccountData(a.UserID)
	if err != nil {
		return nil, err
	}
	global, rooms := []object{}, map[string][]object{}
	for _, d := range data {
		if d.RoomID == "" && d.Type == push.DataType {
			if d.Content, err = push.AccountData(a.UserID, d.Content); err != nil {
				return nil, err
			}
		}
		entry := object{"type": d.Type, "content": jsontext.Value(d.Content)}
		if d.RoomID == "" {
			global = append(global, entry)
		} else {
			rooms[d.RoomID] = append(rooms[d.RoomID], entry)
		}
	}
	return object{"events": global, "rooms": rooms}, nil
}

// maxEndings bounds the endings of an export: an account that was reactivated
// has more than one.
const maxEndings = 1000

func exportDeactivations(tx *storage.Tx, a storage.Account) (any, error) {
	endings, err := tx.Deactivations(a.UserID, "", "", maxEndings)
	list := make([]object, 0, len(endings))
	for _, d := range endings {
		entry := object{
			"id": d.ID, "erase": d.Erase, "id_server": d.IDServer, "requested_by": d.RequestedBy, "state": d.State,
			"created_at": d.CreatedAt, "grace_until": d.GraceUntil, "finished_at": d.FinishedAt,
		}
		if d.Receipt != nil {
			entry["receipt"] = jsontext.Value(d.Receipt)
		}
		list = append(list, entry)
	}
	return object{"deactivations": list}, err
}

// maxAudit bounds the audit entries of an export.
const maxAudit = 10_000

func exportAudit(tx *storage.Tx, a storage.Account) (any, error) {
	entries, err := tx.AuditLog(a.UserID, maxAudit)
	list := make([]object, 0, len(entries))
	for _, e := range entries {
		list = append(list, object{
			"at": e.At, "actor": e.Actor, "action": e.Action, "detail": jsontext.Value(e.Detail),
		})
	}
	return object{"entries": list}, err
}
