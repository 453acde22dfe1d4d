/** What the buckets' owner sees: every version of every object. A PUT that was repeated is a version more. */
import { storageAccess } from '../../host/secrets.ts';
import type { Settings } from '../../host/settings.ts';
import { connect } from '../../store/s3-store.ts';

/** `bucket/key` → its versions. */
export type Versions = ReadonlyMap<string, readonly string[]>;

export interface BucketLooker {
  versions(): Promise<Versions>;
  close(): void;
}

const CONTENT = /(^|\/)(packs|trees|index)\//;
const TRIES = 60;

/** Looks at packs, trees and index parts with the owner's identity. */
export async function lookAtBuckets(settings: Settings, buckets: readonly string[]): Promise<BucketLooker> {
  const access = storageAccess(settings, `s3://${buckets[0]}`, 'owner');
  if (!access) throw new Error('the owner has no S3 identity');
  const { sdk, client } = await connect(access);
  const list = async (Bucket: string, found: Map<string, string[]>): Promise<void> => {
    let markers: { KeyMarker?: string; VersionIdMarker?: string } = {};
    for (;;) {
      const page = await client.send(new sdk.ListObjectVersionsCommand({ Bucket, ...markers }));
      for (const { Key = '', VersionId = '' } of page.Versions ?? []) {
        if (!CONTENT.test(Key)) continue;
        const name = `${Bucket}/${Key}`;
        found.set(name, [...(found.get(name) ?? []), VersionId]);
      }
      if (!page.IsTruncated) return;
      markers = {
        ...(page.NextKeyMarker && { KeyMarker: page.NextKeyMarker }),
        ...(page.NextVersionIdMarker && { VersionIdMarker: page.NextVersionIdMarker }),
      };
    }
  };
  return {
    async versions() {
      for (let tries = 1; ; tries += 1) {
        const found = new Map<string, string[]>();
        try {
          for (const bucket of buckets) await list(bucket, found);
          return found;
        } catch (error) {
          if (tries >= TRIES) throw error; // the server may be on its way back
          await new Promise((resolve) => setTimeout(resolve, 500));
        }
      }
    },
    close: () => client.destroy(),
  };
}
