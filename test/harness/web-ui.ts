/** Temporal's own pages in a headless Chromium, as an operator without Seedship at hand sees them. */
import { existsSync } from 'node:fs';
import path from 'node:path';
import { type Browser, chromium, type Page } from 'playwright-core';

const NAMES = ['chromium', 'chromium-browser', 'google-chrome'];
const ARGUMENTS = ['--no-sandbox', '--disable-background-networking', '--disable-gpu', '--disable-dev-shm-usage'];
const LOAD_MS = 60_000;
const DESK = { width: 1400, height: 1000 };
/** As tall as a page with its details, and the part of it that says something. */
const PRINT = { width: 1000, height: 1800 };
const TEXT_LEFT = 270;
const LIST_HEIGHT = 620;
const PICTURE_HEIGHT_MAX = 1200;

/** The Chromium on PATH. */
export function findChromium(): string | undefined {
  const folders = (process.env.PATH ?? '').split(':').filter(Boolean);
  return folders.flatMap((folder) => NAMES.map((name) => path.join(folder, name))).find((file) => existsSync(file));
}

export class WebUi {
  readonly #browser: Browser;
  readonly #page: Page;

  private constructor(browser: Browser, page: Page) {
    this.#browser = browser;
    this.#page = page;
  }

  static async open(executablePath: string): Promise<WebUi> {
    const browser = await chromium.launch({ executablePath, args: ARGUMENTS });
    const page = await browser.newPage({ viewport: DESK });
    page.setDefaultTimeout(LOAD_MS);
    return new WebUi(browser, page);
  }

  /** A workflow's summary and current details, from the address `job show` gives and one click. */
  async metadata(address: string): Promise<string> {
    const page = this.#page;
    await page.goto(address, { waitUntil: 'domcontentloaded', timeout: LOAD_MS });
    await page.getByRole('tab', { name: 'User Metadata' }).or(page.getByText('User Metadata')).first().click();
    await page
      .getByRole('heading', { name: 'Current Details' })
      .or(page.getByText('Current Details'))
      .first()
      .waitFor();
    // Each text a workflow wrote is drawn in a frame of its own: it is somebody else's Markdown.
    for (const until = Date.now() + LOAD_MS; ; await page.waitForTimeout(100)) {
      const frames = page.frames().filter((frame) => frame.url().includes('/render?'));
      const texts = await Promise.all(
        frames.map((frame) =>
          frame
            .locator('body')
            .innerText()
            .catch(() => ''),
        ),
      );
      if (texts.some((text) => text.includes('Waits for:'))) return texts.join('\n').replaceAll('’', "'"); // as typed
      if (Date.now() > until) throw new Error(`no current details at ${address}: ${texts.join('\n')}`);
    }
  }

  /** What a workflow's own page says without asking any worker: its summary and its search attributes. */
  async summary(address: string): Promise<string> {
    const page = this.#page;
    await page.goto(address, { waitUntil: 'domcontentloaded', timeout: LOAD_MS });
    const texts: string[] = [];
    for (const name of ['Search Attributes', 'User Metadata']) {
      await page.getByRole('tab', { name }).or(page.getByText(name)).first().click();
      await page.waitForTimeout(1_500);
      for (const frame of page.frames())
        texts.push(
          await frame
            .locator('body')
            .innerText()
            .catch(() => ''),
        );
    }
    return texts.join('\n');
  }

  /** The ids that the page of workflows shows for a query of Temporal's. */
  async listed(address: string, query: string): Promise<string> {
    return this.list(`${address}?query=${encodeURIComponent(query)}`);
  }

  /** What a page of workflows shows: its rows, or that there are none. */
  async list(address: string): Promise<string> {
    await this.#page.goto(address, { waitUntil: 'domcontentloaded' });
    await this.#page.locator('tbody a').or(this.#page.getByText('No Workflows')).first().waitFor();
    return this.#page.locator('main').first().innerText();
  }

  /** The page as it is drawn now, from its title to the end of what the workflow says of itself. */
  async picture(): Promise<Buffer> {
    const page = this.#page;
    await page.setViewportSize(PRINT);
    await page.waitForTimeout(500);
    const title = await page.locator('h1').first().boundingBox();
    const boxes = await Promise.all((await page.locator('iframe').all()).map((frame) => frame.boundingBox()));
    const bottom = Math.max(LIST_HEIGHT, ...boxes.map((box) => (box ? box.y + box.height : 0)));
    const y = Math.max(0, (title?.y ?? 0) - 10);
    const height = Math.min(PICTURE_HEIGHT_MAX, bottom + 10 - y);
    const clip = { x: TEXT_LEFT, y, width: PRINT.width - TEXT_LEFT, height };
    const taken = await page.screenshot({ clip, animations: 'disabled', caret: 'hide' });
    await page.setViewportSize(DESK);
    return taken;
  }

  async close(): Promise<void> {
    await this.#browser.close();
  }
}
