package deactivation_test

import (
	"fmt"
	"testing"
	"time"

	"lethe/internal/account"
	"lethe/internal/deactivation"
	"lethe/internal/hstest"
	"lethe/internal/matrix"
	"lethe/internal/storage"
	"lethe/internal/storage/storagetest"
)

// BenchmarkDeactivate is the transaction of an ending, with what it waits for:
// of an account with 1 and with 100 devices, each with a session that can be
// refreshed.
func BenchmarkDeactivate(b *testing.B) {
	for _, engine := range storagetest.Engines {
		for _, devices := range []int{1, 100} {
			b.Run(fmt.Sprintf("%s/devices=%d", engine, devices), func(b *testing.B) {
				s := hstest.New(b, engine)
				n := 0
				for b.Loop() {
					b.StopTimer()
					n++
					user := benchUser(b, s, fmt.Sprintf("u%d", n), devices)
					b.StartTimer()
					_, err := s.Deactivations.Deactivate(b.Context(), deactivation.Request{User: user, By: deactivation.Self})
					if err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}

func benchUser(b *testing.B, s *hstest.Server, name string, devices int) matrix.UserID {
	b.Helper()
	session, err := s.Accounts.Register(b.Context(), account.Registration{Localpart: name, Kind: storage.KindUser})
	if err != nil {
		b.Fatal(err)
	}
	err = s.DB.Update(b.Context(), func(tx *storage.Tx) error {
		for i := range devices {
			device := fmt.Sprintf("D%d", i)
			d := storage.Device{UserID: session.UserID, DeviceID: device, CreatedAt: 1}
			if err := tx.EnsureDevice(d); err != nil {
				return err
			}
			token := storage.AccessToken{UserID: session.UserID, DeviceID: device, CreatedAt: 1}
			copy(token.Hash[:], fmt.Sprintf("a %s %s", name, device))
			if err := tx.CreateAccessToken(token); err != nil {
				return err
			}
			refresh := storage.RefreshToken{
				UserID: session.UserID, DeviceID: device, CreatedAt: matrix.TimestampOf(time.Now()), AccessHash: token.Hash[:],
			}
			copy(refresh.Hash[:], fmt.Sprintf("r %s %s", name, device))
			if err := tx.CreateRefreshToken(refresh); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		b.Fatal(err)
	}
	return session.UserID
}
