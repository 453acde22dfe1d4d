/** A drive that is filled without a worker, on a copy host that reaches no server. */
import { fillByPlan, type PlanHooks } from '../activities/prepare-drive.ts';
import type { DiskReport } from '../domain/disk.ts';
import type { DrivePlan } from '../domain/drive-plan.ts';
import type { Settings } from '../host/settings.ts';
import { hostValues } from './sites.ts';

/** @throws Failure, with the code that says what helps */
export function fillOffline(settings: Settings, plan: DrivePlan, hooks: PlanHooks): Promise<DiskReport> {
  return fillByPlan(hostValues(settings), plan, hooks);
}
