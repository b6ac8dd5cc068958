package storage_test

import (
	"fmt"
	"testing"

	"lethe/internal/matrix"
	"lethe/internal/storage"
	"lethe/internal/storage/storagetest"
)

func TestADeviceKeepsTheNameItsUserGave(t *testing.T) {
	phone := storage.Device{UserID: alice, DeviceID: "A", DisplayName: "Phone", CreatedAt: 2}
	storagetest.Each(t, func(t *testing.T, db *storage.DB) {
		people(t, db, alice)
		do(t, db, step((*storage.Tx).EnsureDevice, phone))
		do(t, db, step((*storage.Tx).EnsureDevice, storage.Device{UserID: alice, DeviceID: "A", DisplayName: "Other", CreatedAt: 9}))
		want(t, db, phone, bind2((*storage.Tx).Device, alice, "A"))
		wantNone(t, db, bind2((*storage.Tx).Device, bob, "A"))

		rename := func(device, name string) func(*storage.Tx) error {
			return func(tx *storage.Tx) error { return tx.RenameDevice(alice, device, name) }
		}
		do(t, db, rename("A", "Mine"))
		named := phone
		named.DisplayName = "Mine"
		want(t, db, []storage.Device{{UserID: alice, DeviceID: "D", CreatedAt: 1}, named}, bind((*storage.Tx).Devices, alice))
		wantErr(t, db, storage.ErrNotFound, rename("B", "x"))
	})
}

func TestADeviceGoesWithItsSessionsOnly(t *testing.T) {
	storagetest.Each(t, func(t *testing.T, db *storage.DB) {
		people(t, db, alice, bob)
		for _, device := range []string{"A", "B", "C"} {
			do(t, db, step((*storage.Tx).EnsureDevice, storage.Device{UserID: alice, DeviceID: device, CreatedAt: 2}))
			session(t, db, alice, device)
		}
		session(t, db, bob, "D")
		left := func(want1 int64, devices ...string) {
			t.Helper()
			want(t, db, devices, func(tx *storage.Tx) (ids []string, err error) {
				list, err := tx.Devices(alice)
				for _, d := range list {
					ids = append(ids, d.DeviceID)
				}
				return ids, err
			})
			for _, table := range []string{"access_tokens", "refresh_tokens"} {
				want(t, db, want1, bind2((*storage.Tx).CountPersonal, table, alice))
				want(t, db, 1, bind2((*storage.Tx).CountPersonal, table, bob))
			}
		}
		left(3, "D", "A", "B", "C")
		do(t, db, step2((*storage.Tx).DropDeviceTokens, alice, "C"))
		left(2, "D", "A", "B", "C")
		do(t, db, step2((*storage.Tx).DropDevice, alice, "A"))
		left(1, "D", "B", "C")
		do(t, db, step2((*storage.Tx).DropDevices, alice, "B"))
		left(1, "B")
		do(t, db, step2((*storage.Tx).DropDevices, alice, ""))
		left(0)
	})
}

func TestTheAddressLogHasWhatIsThere(t *testing.T) {
	seen := func(user matrix.UserID, device, ip string, at matrix.Timestamp) storage.Connection {
		return storage.Connection{UserID: user, DeviceID: device, IP: ip, UserAgent: "UA", LastSeenAt: at}
	}
	storagetest.Each(t, func(t *testing.T, db *storage.DB) {
		people(t, db, alice, bob)
		do(t, db, step((*storage.Tx).Seen, seen(alice, "D", "10.0.0.1", 10)), step((*storage.Tx).Seen, seen(alice, "D", "10.0.0.2", 11)),
			step((*storage.Tx).Seen, seen(alice, "D", "10.0.0.1", 12)), step((*storage.Tx).Seen, seen(alice, "gone", "10.0.0.3", 13)))
		want(t, db, []storage.Connection{seen(alice, "D", "10.0.0.1", 12), seen(alice, "D", "10.0.0.2", 11)},
			bind((*storage.Tx).Connections, alice))
		want(t, db, storage.Device{UserID: alice, DeviceID: "D", CreatedAt: 1, LastSeenAt: 12, LastSeenIP: "10.0.0.1"},
			bind2((*storage.Tx).Device, alice, "D"))

		do(t, db, func(tx *storage.Tx) error {
			_, err := tx.MarkDeactivated(bob, 5, 0)
			return err
		}, step((*storage.Tx).Seen, seen(bob, "D", "10.0.0.9", 20)))
		want(t, db, nil, bind((*storage.Tx).Connections, bob))

		do(t, db, step2((*storage.Tx).DropExpired, 0, 12))
		want(t, db, []storage.Connection{seen(alice, "D", "10.0.0.1", 12)}, bind((*storage.Tx).Connections, alice))
	})
}

// What a client calls itself is its own choice, so it could make an entry with
// each request.
func TestTheAddressLogOfADeviceIsBounded(t *testing.T) {
	storagetest.Each(t, func(t *testing.T, db *storage.DB) {
		people(t, db, alice, bob)
		do(t, db, func(tx *storage.Tx) error {
			for i := range 150 {
				c := storage.Connection{
					UserID: alice, DeviceID: "D", IP: "10.0.0.1", UserAgent: fmt.Sprint("client ", i), LastSeenAt: matrix.Timestamp(i + 1),
				}
				if err := tx.Seen(c); err != nil {
					return err
				}
			}
			return tx.Seen(storage.Connection{UserID: bob, DeviceID: "D", IP: "10.0.0.2", LastSeenAt: 1})
		})
		want(t, db, [2]int{100, 51}, func(tx *storage.Tx) (v [2]int, err error) {
			list, err := tx.Connections(alice)
			if len(list) > 0 {
				v = [2]int{len(list), int(list[len(list)-1].LastSeenAt)}
			}
			return v, err
		})
		want(t, db, 1, bind2((*storage.Tx).CountPersonal, "connections", bob))
	})
}
